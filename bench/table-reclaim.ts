import { MADV_DONTNEED, Random } from '../src/base/index.ts';
import {
  type Machine,
  type Mechanism,
  makeTableReclaim,
  type Process,
  System,
  tableReclaim,
  tableReclaimAged,
} from '../src/engine/index.ts';
import { EngineRange, RANGE_ADDR } from './engine-range.ts';
import { type Bench, measurePair, nsPerOperation, type Side } from './measure.ts';
import { ascending, type Plan, shuffled } from './orders.ts';

/**
 * What reclaim of page tables costs the engine, a table, and what it costs a fault that it is there
 * while memory is not short.
 */
const SLOT_BYTES = 2 ** 21;
/** A number to reach, not a measurement. */
const GOAL_NS = 1000;
const ANY_DENSE = 512;
const WARM_UP_ROUNDS = 4;

export async function benchTableReclaim(bench: Bench): Promise<void> {
  const { tables } = bench.options;
  const swap = makeTableReclaim('swap', 'swap only', { victims: 'random', ways: ['swap'] });
  await reclaimRow(bench, 'random', `${tables} of ${2 * tables} sparse tables`, tableReclaim, 1);
  await reclaimRow(bench, 'aged', `the same, least used first`, tableReclaimAged, 1);
  await reclaimRow(bench, 'swap', `the same, to the swap device`, swap, 1);
  const dense = Math.ceil(tables / 40);
  await reclaimRow(bench, 'dense', `${dense} of ${2 * dense} full tables`, tableReclaim, ANY_DENSE);
  await restoreRow(bench);
  const { pages } = bench.options;
  await attachedRow(bench, 'write', `${pages} pages in ascending order`, ascending(pages));
  await attachedRow(bench, 'fault-random', `${pages} pages in random order`, shuffled(pages, 1));
}

async function reclaimRow(
  bench: Bench,
  variant: string,
  what: string,
  mechanism: Mechanism,
  pagesEach: number,
): Promise<void> {
  const count = pagesEach === 1 ? bench.options.tables : Math.ceil(bench.options.tables / 40);
  const round = (): number => {
    const { system, machine, process } = sparseProcess(mechanism, 2 * count, pagesEach);
    const elapsedMs = timed(() => reclaim(machine, count));
    system.exit(process);
    machine.release();
    return elapsedMs;
  };
  await goalRow(bench, variant, `reclaim of ${what}`, count, round);
}

/** A read of a page in each of many stored tables: the fault that brings the table back. */
async function restoreRow(bench: Bench): Promise<void> {
  const count = bench.options.tables;
  const round = (): number => {
    const { system, machine, process } = sparseProcess(tableReclaim, count, 1);
    // Almost all: 128 encoded tables take a frame of the pool, so that many cannot be freed.
    reclaim(machine, count - Math.ceil(count / 64));
    const elapsedMs = timed(() => process.touch(RANGE_ADDR, false, count, SLOT_BYTES));
    system.exit(process);
    machine.release();
    return elapsedMs;
  };
  await goalRow(bench, 'restore', `faults on ${count} stored sparse tables`, count, round);
}

async function goalRow(
  bench: Bench,
  variant: string,
  what: string,
  operations: number,
  round: () => number,
): Promise<void> {
  // The first rounds would measure V8's compilers.
  const warmUp = (): void => {
    for (let i = 0; i < WARM_UP_ROUNDS; i++) round();
  };
  const side = { run: (seconds: number) => nsPerOperation(seconds, operations, round) };
  const head = { name: `table-reclaim/${variant}`, what, peer: 'goal', unit: 'ns/table' } as const;
  await measurePair(bench, head, { ...side, warmUp }, { run: () => GOAL_NS });
}

/** A process with one page, or all, in each of `tables` slots, in no order of frames. */
function sparseProcess(
  mechanism: Mechanism,
  tables: number,
  pagesEach: number,
): { system: System; machine: Machine; process: Process } {
  const system = new System({ swapBytes: 2 ** 30 });
  mechanism.attach(system.machine, 1);
  const process = system.spawn(1);
  const areas = [[0, tables * 512]] as const;
  EngineRange.mapAreas(process, { spanPages: tables * 512, order: new Int32Array(0), areas });
  if (pagesEach === 1) process.touch(RANGE_ADDR, true, tables, SLOT_BYTES);
  else fillTables(process, tables);
  return { system, machine: system.machine, process };
}

/** Full tables as many small faults leave them: frames in batches, not one run. */
function fillTables(process: Process, tables: number): void {
  const random = new Random(1);
  for (let table = 0; table < tables; table++) {
    for (let page = 0; page < 512; ) {
      const count = Math.min(512 - page, 1 + random.below(16));
      process.touch(RANGE_ADDR + table * SLOT_BYTES + page * 4096, true, count);
      // A page elsewhere in between breaks the run of frames.
      process.touch(RANGE_ADDR + ((table + 1) % tables) * SLOT_BYTES, true);
      page += count;
    }
  }
}

function reclaim(machine: Machine, count: number): void {
  for (let freed = 0; freed < count; ) {
    const more = machine.events.tablesShort?.(machine, Math.min(1024, count - freed), 0) ?? 0;
    if (more === 0) throw new Error(`${freed} tables reclaimed of ${count}`);
    freed += more;
  }
}

function timed(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

/** Faults on a machine with the mechanism, whose memory is not short, and on one without. */
async function attachedRow(bench: Bench, variant: string, what: string, plan: Plan): Promise<void> {
  await measurePair(
    bench,
    {
      name: `table-reclaim/${variant}`,
      what: `first writes, ${what}, with table-reclaim-aged attached and without`,
      peer: 'engine',
      unit: 'ns/page',
    },
    faultSide(plan, true, bench.options.warmUpFaults),
    faultSide(plan, false, bench.options.warmUpFaults),
  );
}

function faultSide(plan: Plan, isAttached: boolean, warmUpFaults: number): Side {
  const system = new System();
  if (isAttached) tableReclaimAged.attach(system.machine, 1);
  const process = system.spawn(1);
  EngineRange.mapAreas(process, plan);
  const range = new EngineRange(process, plan);
  const round = (): number => {
    const elapsedMs = range.touch(true);
    process.madvise(RANGE_ADDR, plan.spanPages * 4096, MADV_DONTNEED);
    return elapsedMs;
  };
  return {
    run: (seconds) => nsPerOperation(seconds, plan.order.length, round),
    warmUp: () => {
      for (let faults = 0; faults < warmUpFaults; faults += plan.order.length) round();
    },
  };
}
