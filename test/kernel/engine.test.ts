import assert from 'node:assert/strict';
import { test } from 'node:test';
import { khugepagedCollapses, whyNoHugePages } from '../../src/host/index.ts';
import { EngineSubject, LAYOUT_NAMES, PROFILES, parseKernel } from '../../src/lab/index.ts';
import { describeResult, runCampaign } from './differential.ts';
import { hasSwap, skipReason } from './needs-kernel.ts';

const skip = skipReason() || (hasSwap() && 'swap is on: what MADV_PAGEOUT does depends on it');
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

for (const layout of LAYOUT_NAMES) {
  for (const name of ['basic', 'full'] as const) {
    test(`the engine and the kernel agree after every operation: ${name}, ${layout}`, {
      skip,
    }, (t) => {
      t.diagnostic(`PAGELAB_SEED=${seed}`);
      const campaign = { seed, ops: 1500, layout, profile: PROFILES[name] };
      const engine = (): EngineSubject => new EngineSubject(parseKernel('linux-6.18'));
      const result = runCampaign(campaign, engine);
      assert.equal(describeResult(result), 'no mismatch', `PAGELAB_SEED=${seed}`);
    });
  }
}

const skipHuge = skip || (whyNoHugePages() ?? false);

for (const layout of LAYOUT_NAMES) {
  test(`the engine and the kernel agree with huge pages: ${layout}`, { skip: skipHuge }, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const campaign = { seed, ops: 1500, layout, profile: PROFILES.huge };
    const engine = (): EngineSubject =>
      new EngineSubject(parseKernel('linux-6.18'), { enabled: 'madvise' });
    for (let attempt = 1; ; attempt++) {
      const before = khugepagedCollapses();
      const result = runCampaign(campaign, engine);
      // Whatever khugepaged fills by itself is not ours to compare: such a run does not count.
      if (khugepagedCollapses() !== before && attempt < 4) continue;
      assert.equal(describeResult(result), 'no mismatch', `PAGELAB_SEED=${seed}`);
      return;
    }
  });
}
