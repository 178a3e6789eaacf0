import { System } from '../src/engine/index.ts';
import { EngineRange } from './engine-range.ts';
import { KernelRange } from './kernel-range.ts';
import { type Bench, measurePair, nsPerOperation, type Side } from './measure.ts';
import { ascending, type Plan } from './orders.ts';

/** MADV_DONTNEED of a range whose every page was written, in calls of three sizes. */
export async function benchZap(bench: Bench): Promise<void> {
  const { pages } = bench.options;
  await zapPair(bench, 'whole', pages, `MADV_DONTNEED of ${pages} pages in one call`);
  await zapPair(bench, '2MiB', 512, `MADV_DONTNEED of ${pages} pages, a call for each 2 MiB`);
  await zapPair(bench, '4KiB', 1, `MADV_DONTNEED of ${pages} pages, a call for each page`);
}

async function zapPair(
  bench: Bench,
  variant: string,
  callPages: number,
  what: string,
): Promise<void> {
  const plan = ascending(bench.options.pages);
  const process = new System().spawn(1);
  EngineRange.mapAreas(process, plan);
  const ours = zapSide(new EngineRange(process, plan), plan, callPages);
  const kernel = new KernelRange(plan);
  const warmUpRounds = Math.ceil(bench.options.warmUpFaults / bench.options.pages);
  await measurePair(
    bench,
    { name: `zap/${variant}`, what, peer: 'kernel', unit: 'ns/page' },
    { ...ours, warmUp: () => ours.rounds(warmUpRounds) },
    zapSide(kernel, plan, callPages),
  );
  kernel.close();
}

function zapSide(
  range: EngineRange | KernelRange,
  plan: Plan,
  callPages: number,
): Side & { rounds(count: number): void } {
  const round = (): number => {
    range.touch(true);
    return range.zap(callPages);
  };
  return {
    run: (seconds) => nsPerOperation(seconds, plan.order.length, round),
    warmUp: () => {
      round();
    },
    rounds: (count) => {
      for (let i = 0; i < count; i++) round();
    },
  };
}
