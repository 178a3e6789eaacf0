import { fault, onDemandFork, type Process, System } from '../src/engine/index.ts';
import { EngineRange, RANGE_ADDR } from './engine-range.ts';
import { type Bench, measurePair, type Side } from './measure.ts';
import { ascending } from './orders.ts';

const PAGE_BYTES = 4096;
const SLOT_PAGES = 512;

/** What is timed of a round. */
type Part = 'fork' | 'write' | 'turn';

/**
 * On-demand fork against plain fork in the same engine, tables of single faults: the call alone; the
 * child's first write in each 2 MiB after it; fork, those writes in an eighth of the tables, and exit.
 * Before each round the parent writes every page, untimed, so all entries have the right to write.
 */
export async function benchForkShared(bench: Bench): Promise<void> {
  const { forkPages: pages, warmUpFaults } = bench.options;
  const warmUpRounds = Math.max(2, Math.ceil(warmUpFaults / pages / 2));
  const tables = Math.ceil(pages / SLOT_PAGES);
  const rows: readonly [part: Part, what: string, per: number, unit: 'ns/page' | 'ns/call'][] = [
    ['fork', `fork alone of ${pages} written pages, per page`, pages, 'ns/page'],
    ['write', "the child's first write in each 2 MiB after it, per write", tables, 'ns/call'],
    ['turn', 'fork, a write in every eighth table by the child, exit, per page', pages, 'ns/page'],
  ];
  for (const [part, what, per, unit] of rows) {
    const head = { name: `fork/on-demand-${part}`, what, peer: 'engine', unit };
    const ours = forkSide(pages, part, per, warmUpRounds, true);
    await measurePair(bench, head, ours, forkSide(pages, part, per, warmUpRounds, false));
  }
}

function forkSide(
  pages: number,
  part: Part,
  per: number,
  warmUpRounds: number,
  isOnDemand: boolean,
): Side {
  const system = new System();
  if (isOnDemand) onDemandFork.attach(system.machine);
  const parent = system.spawn(1);
  EngineRange.mapAreas(parent, ascending(pages));
  const round = (): number => timedRound(system, parent, pages, part);
  return {
    run: (seconds) => {
      let spentMs = 0;
      let rounds = 0;
      while (rounds === 0 || spentMs < seconds * 1000) {
        spentMs += round();
        rounds++;
      }
      return (spentMs * 1e6) / (rounds * per);
    },
    warmUp: () => {
      for (let i = 0; i < warmUpRounds; i++) round();
    },
  };
}

function timedRound(system: System, parent: Process, pages: number, part: Part): number {
  writeEvery(parent, pages, 1);
  const beganMs = performance.now();
  const child = system.fork(parent, 2);
  if (child === undefined) throw new Error('engine: no memory for a fork');
  const forkedMs = performance.now();
  if (part !== 'fork') writeEvery(child, pages, part === 'write' ? SLOT_PAGES : 8 * SLOT_PAGES);
  const wroteMs = performance.now();
  system.exit(child);
  if (part === 'turn') return performance.now() - beganMs;
  return part === 'fork' ? forkedMs - beganMs : wroteMs - forkedMs;
}

function writeEvery({ machine, mm }: Process, pages: number, stride: number): void {
  const hi = RANGE_ADDR / PAGE_BYTES / machine.loPages;
  const loBits = 2 * machine.bits;
  for (let page = 0; page < pages; page += stride) {
    fault(machine, mm, hi + (page >> loBits), page & (machine.loPages - 1), true);
  }
}
