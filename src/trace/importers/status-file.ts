import { InputError } from '../../base/index.ts';
import type { Sample } from '../event.ts';

/** The kernel's counters of the recorded process at one moment. */
export interface TimedSample {
  /** The earliest moment at which the counters can have been read. */
  timeNs: number;
  sample: Sample;
}

type Field = keyof Sample;

const FIELD_BY_COLUMN: Readonly<Record<string, Field>> = {
  VmSize: 'vmSizeKiB',
  RssAnon: 'rssAnonKiB',
  RssFile: 'rssFileKiB',
  RssShmem: 'rssShmemKiB',
  VmPTE: 'vmPteKiB',
  VmSwap: 'vmSwapKiB',
};

const DEFAULT_COLUMNS = 'mono_us VmSize VmRSS RssAnon RssFile RssShmem VmPTE VmSwap'.split(' ');

/**
 * The recorder stamps a sample after it has read and parsed the status file, so the counters are
 * of some moment before the stamp: in the bundled recordings 70 to 140 µs, seen where the program
 * was faulting at that moment. A sample therefore says: at some moment within this long from its
 * time.
 */
export const STAMP_LAG_NS = 150_000;

/**
 * Parses samples of /proc/PID/status: a line `#mono_us VmSize VmRSS …` that names the columns, then
 * a line of numbers per sample: microseconds on the trace's clock, then KiB.
 */
export function parseStatus(text: string, name: string): TimedSample[] {
  const samples: TimedSample[] = [];
  let columns = DEFAULT_COLUMNS;
  for (const [index, line] of text.split('\n').entries()) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '') continue;
    if (line.startsWith('#')) {
      if (/\bVm|\bRss/.test(line)) columns = words.map((word) => word.replace(/^#/, ''));
      continue;
    }
    const numbers = words.map(Number);
    if (numbers.length < 2 || !numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) {
      throw new InputError(
        `${name}:${index + 1}: not a sample; it must be microseconds and KiB: ${DEFAULT_COLUMNS.join(' ')}`,
      );
    }
    const sample: Sample = {};
    for (const [column, value] of numbers.entries()) {
      const field = FIELD_BY_COLUMN[columns[column] ?? ''];
      if (field !== undefined) sample[field] = value;
    }
    samples.push({ timeNs: (numbers[0] as number) * 1000 - STAMP_LAG_NS, sample });
  }
  return samples.sort((a, b) => a.timeNs - b.timeNs);
}
