import assert from 'node:assert/strict';
import { test } from 'node:test';
import { khugepagedCollapses, whyNoHugePages } from '../../src/host/index.ts';
import { customProfile, LAYOUT_NAMES, PROFILES } from '../../src/lab/validate/index.ts';
import { describeResult, runCampaign } from './differential.ts';
import { hasSwap, skipReason } from './needs-kernel.ts';

const skip = skipReason();
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const OPS = 1500;
const skipHuge = skip || (whyNoHugePages() ?? false);

for (const layout of LAYOUT_NAMES) {
  for (const name of ['basic', 'full'] as const) {
    test(`the model and the kernel agree after every operation: ${name}, ${layout}`, {
      skip,
    }, (t) => {
      t.diagnostic(`PAGELAB_SEED=${seed}`);
      // The model knows too little of the anon_vmas of a grandchild, and of an area that DONTUNMAP
      // has emptied (docs/validate.md): two processes, and that flag by single traces only.
      const features = [...PROFILES[name].features].filter(
        (f) => f !== 'dontunmap' && (f !== 'pageout' || !hasSwap()),
      );
      const profile = customProfile(features, 2);
      const result = runCampaign({ seed, ops: OPS, layout, profile });
      assert.equal(describeResult(result), 'no mismatch', `PAGELAB_SEED=${seed}`);
    });
  }
}

for (const layout of LAYOUT_NAMES) {
  test(`the same with huge pages by madvise: ${layout}`, { skip: skipHuge }, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const before = khugepagedCollapses();
    const result = runCampaign({ seed, ops: OPS, layout, profile: PROFILES.huge });
    // khugepaged filled a slot by itself: this run says nothing.
    if (khugepagedCollapses() !== before) t.skip('khugepaged was active during the run');
    else assert.equal(describeResult(result), 'no mismatch', `PAGELAB_SEED=${seed}`);
  });
}
