import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  customProfile,
  FEATURES,
  LAYOUT_NAMES,
  PROFILES,
  type Profile,
} from '../../src/lab/validate/index.ts';
import { describeResult, runCampaign } from './differential.ts';
import { hasSwap, skipReason } from './needs-kernel.ts';

const skip = skipReason();
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const OPS = 1500;

/** With swap, pageout does more than the model knows. */
function withoutPageout(): Profile {
  return customProfile(FEATURES.filter((feature) => feature !== 'pageout'));
}

for (const layout of LAYOUT_NAMES) {
  for (const name of ['basic', 'full'] as const) {
    test(`the model and the kernel agree after every operation: ${name}, ${layout}`, {
      skip,
    }, (t) => {
      t.diagnostic(`PAGELAB_SEED=${seed}`);
      const profile = name === 'full' && hasSwap() ? withoutPageout() : PROFILES[name];
      const result = runCampaign({ seed, ops: OPS, layout, profile });
      assert.equal(describeResult(result), 'no mismatch', `PAGELAB_SEED=${seed}`);
    });
  }
}
