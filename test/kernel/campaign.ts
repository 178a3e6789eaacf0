/**
 * Long comparisons by hand: `node dist/test/kernel/campaign.js PROFILE SEEDS OPS [FIRST_SEED]`,
 * PROFILE being basic, huge, full, or features joined by +. One line a run, the shrunk trace of each
 * mismatch.
 */
import {
  customProfile,
  type Feature,
  LAYOUT_NAMES,
  PROFILES,
} from '../../src/lab/validate/index.ts';
import { describeResult, runCampaign } from './differential.ts';

const [name = 'basic', seeds = '4', ops = '2000', first = '1'] = process.argv.slice(2);
const profile =
  name === 'basic' || name === 'full' || name === 'huge'
    ? PROFILES[name]
    : customProfile(name.split('+') as Feature[]);
let failures = 0;
for (let seed = Number(first); seed < Number(first) + Number(seeds); seed++) {
  const layout = LAYOUT_NAMES[seed % LAYOUT_NAMES.length]!;
  const startedAt = performance.now();
  const result = runCampaign({ seed, ops: Number(ops), layout, profile });
  const { events, steps, mismatch } = result.comparison;
  const microseconds = ((performance.now() - startedAt) * 1000) / events;
  const verdict = mismatch === null ? 'same' : 'DIFFERENT';
  console.log(
    `seed ${seed} ${layout} ${events} ops ${steps} steps ${microseconds.toFixed(0)} us/op ${verdict}`,
  );
  if (mismatch !== null) {
    failures += 1;
    console.log(describeResult(result));
    if (failures >= 3) break;
  }
}
process.exitCode = failures === 0 ? 0 : 1;
