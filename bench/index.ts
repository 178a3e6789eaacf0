import { CapabilityError, InputError } from '../src/base/index.ts';
import { whyNoPuppet } from '../src/host/index.ts';
import { benchCounts } from './counts.ts';
import { benchFault } from './fault.ts';
import { benchFork } from './fork.ts';
import { benchForkShared } from './fork-shared.ts';
import { whyNoKernel } from './kernel-range.ts';
import { benchLLFree } from './llfree.ts';
import { type Bench, type BenchOptions, DEFAULT_OPTIONS } from './measure.ts';
import { benchMorsels } from './morsels.ts';
import { benchMultiFault } from './multi-fault.ts';
import { BENCHMARK_NAMES, type BenchmarkName } from './names.ts';
import { benchReplay } from './replay.ts';
import type { Row } from './row.ts';
import { benchTableReclaim } from './table-reclaim.ts';
import { benchTlb } from './tlb.ts';
import { benchZap } from './zap.ts';

export { type BenchOptions, DEFAULT_OPTIONS } from './measure.ts';
export { BENCHMARK_NAMES } from './names.ts';
export type { Row } from './row.ts';

/** One file a question; docs/bench.md says what each measures. */
interface Benchmark {
  readonly name: BenchmarkName;
  readonly run: (bench: Bench) => Promise<void>;
  /** Why its peer cannot run here; null where it can, or where it needs none. */
  readonly whyNoPeer: () => string | null;
}

const BENCHMARKS: readonly Benchmark[] = [
  { name: 'fault', run: benchFault, whyNoPeer: whyNoKernel },
  { name: 'zap', run: benchZap, whyNoPeer: whyNoKernel },
  { name: 'fork', run: benchFork, whyNoPeer: () => whyNoKernel() ?? whyNoPuppet() },
  { name: 'fork', run: benchForkShared, whyNoPeer: () => null },
  { name: 'multi-fault', run: benchMultiFault, whyNoPeer: () => null },
  { name: 'table-reclaim', run: benchTableReclaim, whyNoPeer: () => null },
  { name: 'llfree', run: benchLLFree, whyNoPeer: () => null },
  { name: 'morsels', run: benchMorsels, whyNoPeer: () => null },
  { name: 'counts', run: benchCounts, whyNoPeer: () => null },
  { name: 'replay', run: benchReplay, whyNoPeer: () => null },
  { name: 'tlb', run: benchTlb, whyNoPeer: () => null },
];

export interface BenchResult {
  readonly rows: Row[];
  /** What was left out, and why. */
  readonly notes: string[];
}

/**
 * Runs one benchmark, or all. Throws InputError for an unknown name, CapabilityError if this
 * machine can run nothing of what was asked for.
 */
export async function runBenchmarks(
  name: string | undefined,
  options: Partial<BenchOptions> = {},
  onRow: (row: Row) => void = () => {},
): Promise<BenchResult> {
  const chosen = BENCHMARKS.filter((benchmark) => name === undefined || benchmark.name === name);
  if (chosen.length === 0) {
    throw new InputError(`no benchmark '${name}'; there are ${BENCHMARK_NAMES.join(', ')}`);
  }
  const result: BenchResult = { rows: [], notes: [] };
  for (const benchmark of chosen) {
    const reason = benchmark.whyNoPeer();
    if (reason !== null) {
      result.notes.push(`${benchmark.name} is left out: ${reason}`);
      continue;
    }
    await benchmark.run({
      options: { ...DEFAULT_OPTIONS, ...options },
      onRow: (row) => {
        result.rows.push(row);
        onRow(row);
      },
      onNote: (note) => result.notes.push(note),
    });
  }
  if (result.rows.length === 0) throw new CapabilityError(result.notes.join('; '));
  return result;
}
