import { type Row, rowOf, type Unit } from './row.ts';

/** How long and how large; tests use tiny ones. */
export interface BenchOptions {
  /** Pairs of measurements, one after the other. */
  readonly repeats: number;
  /** Time of one side of one pair; at least one round is run. */
  readonly seconds: number;
  /** Pages of the range that `fault` and `zap` touch. */
  readonly pages: number;
  /** Pages of the process that `fork` copies. */
  readonly forkPages: number;
  /** Tables that `table-reclaim` reclaims. */
  readonly tables: number;
  /** Areas of `fault/areas`. */
  readonly areas: number;
  /** Accesses that `tlb` translates in a pass, about. */
  readonly tlbAccesses: number;
  /** Frames of the memory of `llfree`, at most 2^20; a quarter of it is that of its `frag`. */
  readonly llfreeFrames: number;
  /** Frames that `counts` shares. */
  readonly countFrames: number;
  /** Threads that `counts` runs at once. */
  readonly countThreads: readonly number[];
  /** Faults of the engine before anything is measured: V8's last tier comes after about a million. */
  readonly warmUpFaults: number;
}

export const DEFAULT_OPTIONS: BenchOptions = {
  repeats: 7,
  seconds: 0.2,
  pages: 32768,
  forkPages: 262144,
  tables: 100_000,
  areas: 1000,
  tlbAccesses: 4_000_000,
  llfreeFrames: 2 ** 20,
  countFrames: 131_072,
  countThreads: [1, 2, 4, 8, 16],
  warmUpFaults: 2_000_000,
};

/** Something that can be measured again and again. */
export interface Side {
  /** Works for about that long, at least one round; the result is in the unit of the row. */
  run(seconds: number): number | Promise<number>;
  /** Called once before the first pair. */
  warmUp?(): void | Promise<void>;
}

/** What the benchmarks report to while they run. */
export interface Bench {
  readonly options: BenchOptions;
  /** A row is done. */
  onRow(row: Row): void;
  /** Something was left out. */
  onNote(note: string): void;
}

/** A B A B …: each pair in the same stretch of the machine's weather. */
export async function measurePair(
  bench: Bench,
  head: { name: string; what: string; peer: string; unit: Unit },
  ours: Side,
  theirs: Side,
): Promise<void> {
  const { repeats, seconds } = bench.options;
  await ours.warmUp?.();
  await theirs.warmUp?.();
  const ourResults: number[] = [];
  const theirResults: number[] = [];
  for (let i = 0; i < repeats; i++) {
    ourResults.push(await ours.run(seconds));
    theirResults.push(await theirs.run(seconds));
  }
  bench.onRow(rowOf(head, ourResults, theirResults));
}

/** As `measurePair` where there is nothing to compare with. */
export async function measureAlone(
  bench: Bench,
  head: { name: string; what: string; peer: string; unit: Unit },
  ours: Side,
): Promise<void> {
  await ours.warmUp?.();
  const results: number[] = [];
  for (let i = 0; i < bench.options.repeats; i++) {
    results.push(await ours.run(bench.options.seconds));
  }
  bench.onRow(rowOf(head, results, null));
}

/**
 * Repeats `round`, which gives the milliseconds of its measured part, until the time is used: that
 * of the unmeasured parts counts too. The result is ns an operation.
 */
export function nsPerOperation(seconds: number, operations: number, round: () => number): number {
  const endMs = performance.now() + seconds * 1000;
  let milliseconds = 0;
  let rounds = 0;
  do {
    milliseconds += round();
    rounds += 1;
  } while (performance.now() < endMs);
  return (milliseconds * 1e6) / (rounds * operations);
}
