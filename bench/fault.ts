import { type Process, System } from '../src/engine/index.ts';
import { EngineRange } from './engine-range.ts';
import { faultThreads } from './fault-threads.ts';
import { KernelRange } from './kernel-range.ts';
import { type Bench, measurePair, nsPerOperation, type Side } from './measure.ts';
import { acrossAreas, ascending, type Plan, shuffled } from './orders.ts';

/**
 * The same program on the engine and on the running kernel: every page of a range is touched once,
 * then MADV_DONTNEED makes the whole range absent again. Only the touches are timed.
 */
export async function benchFault(bench: Bench): Promise<void> {
  const { pages, areas } = bench.options;
  const oneByOne = ascending(pages);
  await faultPair(
    bench,
    'write',
    `first writes, ${pages} pages in ascending order`,
    oneByOne,
    true,
  );
  const random = shuffled(pages, 1);
  await faultPair(bench, 'random', `first writes, ${pages} pages in random order`, random, true);
  await faultPair(bench, 'read', `first reads (zero page), ${pages} pages`, oneByOne, false);
  const across = acrossAreas(pages, areas);
  const what = `first writes across ${areas} areas, each in another area than the last`;
  await faultPair(bench, 'areas', what, across, true);
  await faultThreads(bench);
}

async function faultPair(
  bench: Bench,
  variant: string,
  what: string,
  plan: Plan,
  isWrite: boolean,
): Promise<void> {
  const kernel = new KernelRange(plan);
  await measurePair(
    bench,
    { name: `fault/${variant}`, what, peer: 'kernel', unit: 'ns/page' },
    engineSide(new System().spawn(1), plan, isWrite, bench.options.warmUpFaults),
    rangeSide(kernel, plan, isWrite),
  );
  kernel.close();
}

function engineSide(process: Process, plan: Plan, isWrite: boolean, warmUpFaults: number): Side {
  EngineRange.mapAreas(process, plan);
  const range = new EngineRange(process, plan);
  const warmUp = (): void => {
    for (let faults = 0; faults < warmUpFaults; faults += plan.order.length) {
      range.touch(isWrite);
      range.zap();
    }
  };
  return { ...rangeSide(range, plan, isWrite), warmUp };
}

/** What the engine's and the kernel's memory have in common here. */
interface TouchRange {
  touch(isWrite: boolean): number;
  zap(callPages?: number): number;
}

function rangeSide(range: TouchRange, plan: Plan, isWrite: boolean): Side {
  const round = (): number => {
    const elapsedMs = range.touch(isWrite);
    range.zap();
    return elapsedMs;
  };
  return {
    run: (seconds) => nsPerOperation(seconds, plan.order.length, round),
    warmUp: () => {
      round();
    },
  };
}
