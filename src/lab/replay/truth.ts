import type { Counters } from '../../engine/index.ts';
import { SAMPLE_FIELDS, type Sample, type TraceEvent } from '../../trace/index.ts';
import type { RunResult } from './result.ts';

/** Our value of a sample's field; undefined for what this kernel does not count. */
function ours(counters: Counters, field: keyof Sample): number | undefined {
  switch (field) {
    case 'vmPteKiB':
    case 'presentPages':
    case 'swappedPages':
    case 'rssAnonKiB':
    case 'rssFileKiB':
    case 'rssShmemKiB':
    case 'vmSizeKiB':
      return counters[field];
    case 'vmSwapKiB':
      return counters.swappedPages * 4;
    default:
      return undefined;
  }
}

/** Holds the counters of a replay against the kernel's own at each sample. */
export class TruthCheck {
  readonly truth: RunResult['truth'] = { samples: 0, exact: 0, fields: {} };

  check(event: TraceEvent, counters: Counters): void {
    const { sample } = event;
    if (sample === null) return;
    this.truth.samples += 1;
    let isExact = true;
    for (const field of SAMPLE_FIELDS) {
      const recorded = sample[field];
      const got = ours(counters, field);
      if (recorded === undefined || got === undefined) continue;
      const entry = (this.truth.fields[field] ??= {
        compared: 0,
        exact: 0,
        worst: 0,
        worstLine: 0,
      });
      entry.compared += 1;
      const difference = got - recorded;
      if (difference === 0) {
        entry.exact += 1;
        continue;
      }
      isExact = false;
      if (Math.abs(difference) > Math.abs(entry.worst)) {
        entry.worst = difference;
        entry.worstLine = event.line;
      }
    }
    if (isExact) this.truth.exact += 1;
  }
}
