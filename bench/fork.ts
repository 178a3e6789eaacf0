import { fault, System } from '../src/engine/index.ts';
import { stayOnOneCpu } from '../src/host/index.ts';
import { EngineRange, RANGE_ADDR } from './engine-range.ts';
import { type Bench, measurePair, nsPerOperation, type Side } from './measure.ts';
import { ascending } from './orders.ts';
import { PuppetRange } from './puppet-range.ts';

const PAGE_BYTES = 4096;

/**
 * fork and exit of the child, for a parent with much written memory in 4 KiB pages. Before each
 * fork the parent writes every page again, untimed: otherwise all but the first fork would find
 * the entries write-protected already.
 */
export async function benchFork(bench: Bench): Promise<void> {
  const { forkPages: pages, warmUpFaults } = bench.options;
  const what = `fork and exit of a process with ${pages} written pages, per page`;
  const undoAffinity = stayOnOneCpu();
  // This process itself is never forked.
  const parent = new PuppetRange(pages);
  const round = (): number => {
    parent.touch(true);
    return parent.forkAndExit();
  };
  try {
    await measurePair(
      bench,
      { name: 'fork/exit', what, peer: 'kernel', unit: 'ns/page' },
      engineSide(pages, Math.ceil(warmUpFaults / pages)),
      { run: (seconds) => nsPerOperation(seconds, pages, round), warmUp: () => void round() },
    );
  } finally {
    parent.close();
    undoAffinity();
  }
}

/** The tables are those that single faults make, not the compact ones of `touchRange`. */
function engineSide(pages: number, warmUpRounds: number): Side {
  const system = new System();
  const parent = system.spawn(1);
  const plan = ascending(pages);
  EngineRange.mapAreas(parent, plan);
  new EngineRange(parent, plan).touch(true);
  const { machine, mm } = parent;
  const hi = RANGE_ADDR / PAGE_BYTES / machine.loPages;
  const loBits = 2 * machine.bits;
  const round = (): number => {
    for (let page = 0; page < pages; page++) {
      fault(machine, mm, hi + (page >> loBits), page & (machine.loPages - 1), true);
    }
    const startMs = performance.now();
    const child = system.fork(parent, 2);
    if (child === undefined) throw new Error('engine: no memory for a fork');
    system.exit(child);
    return performance.now() - startMs;
  };
  return {
    run: (seconds) => nsPerOperation(seconds, pages, round),
    warmUp: () => {
      for (let i = 0; i < warmUpRounds; i++) round();
    },
  };
}
