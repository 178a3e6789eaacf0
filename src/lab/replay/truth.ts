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
    case 'vmSwapKiB':
    case 'anonHugeKiB':
      return counters[field];
    default:
      return undefined;
  }
}

/** A sample that was read at some moment of an interval, which has not passed yet. */
interface OpenSample {
  readonly pid: number;
  readonly line: number;
  readonly sample: Sample;
  readonly untilNs: number;
  /** Our counters at the moment that agreed in most fields, and in how many they did not. */
  best: Counters;
  wrongFields: number;
  /** The same at the latest moment, which is when the sample was stamped. */
  wrongAtEnd: number;
}

/**
 * Holds the counters of a replay against the kernel's own at each sample. All fields of a sample
 * must agree at one and the same moment.
 */
export class TruthCheck {
  readonly truth: RunResult['truth'] = { samples: 0, exact: 0, exactAtStamp: 0, fields: {} };
  #open: OpenSample | null = null;

  /** Time (ns) up to which the open sample wants to see each change; -1 if none is open. */
  get openUntilNs(): number {
    return this.#open === null ? -1 : this.#open.untilNs;
  }

  get openPid(): number {
    return this.#open === null ? -1 : this.#open.pid;
  }

  /** A sample was reached; `counters` are its process's now. */
  begin(event: TraceEvent, counters: Counters): void {
    this.close();
    const { sample } = event;
    if (sample === null) return;
    const within = event.extra?.['within'];
    const lagNs = typeof within === 'number' && event.timeNs >= 0 ? within : -1;
    const wrong = countWrong(sample, counters);
    this.#open = {
      pid: event.pid,
      line: event.line,
      sample: { ...sample },
      untilNs: lagNs < 0 ? -1 : event.timeNs + lagNs,
      best: counters,
      wrongFields: wrong,
      wrongAtEnd: wrong,
    };
    if (lagNs < 0) this.close();
  }

  /** The counters of the open sample's process after an event within its interval. */
  look(counters: Counters): void {
    const open = this.#open;
    if (open === null) return;
    open.wrongAtEnd = countWrong(open.sample, counters);
    if (open.wrongAtEnd >= open.wrongFields) return;
    open.wrongFields = open.wrongAtEnd;
    open.best = counters;
  }

  /** The interval is over: the verdict. */
  close(): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    this.truth.samples += 1;
    if (open.wrongFields === 0) this.truth.exact += 1;
    if (open.wrongAtEnd === 0) this.truth.exactAtStamp += 1;
    for (const field of SAMPLE_FIELDS) this.#field(field, open);
  }

  #field(field: keyof Sample, open: OpenSample): void {
    const recorded = open.sample[field];
    const got = ours(open.best, field);
    if (recorded === undefined || got === undefined) return;
    const entry = (this.truth.fields[field] ??= { compared: 0, exact: 0, worst: 0, worstLine: 0 });
    entry.compared += 1;
    const difference = got - recorded;
    if (difference === 0) {
      entry.exact += 1;
    } else if (Math.abs(difference) > Math.abs(entry.worst)) {
      entry.worst = difference;
      entry.worstLine = open.line;
    }
  }
}

function countWrong(sample: Sample, counters: Counters): number {
  let wrong = 0;
  for (const field of SAMPLE_FIELDS) {
    const recorded = sample[field];
    const got = ours(counters, field);
    if (recorded !== undefined && got !== undefined && got !== recorded) wrong += 1;
  }
  return wrong;
}
