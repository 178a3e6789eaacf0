import { MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { fault, Morsel, morselCounters, OBJECT_SHMEM, System } from '../../engine/index.ts';
import { spreadOf } from '../experiments/spread.ts';
import type { Figure, FigureContext, FigureResult } from './figure.ts';
import { atMost, onlyHere, verdictOf } from './parts.ts';

/** Objects that are subtrees of page tables: mapping them is one entry. */
const PAPER = 'Halbuer et al., "Morsels: Explicit Virtual Memory Objects", DIMES 2023 (abstract)';
const MODEL_GIB = 6.82;
const MODEL_PAGES: number = Math.round((MODEL_GIB * 2 ** 30) / 4096);
const ADDR = 0x100000000000;
const RW = PROT_READ | PROT_WRITE;
const REPEATS = 5;
const CALLS = 1000;

export const MORSELS_MAP: Figure = {
  id: 'morsels.map',
  seed: '003',
  what: `mapping a machine-learning model of ${MODEL_GIB} GiB`,
  unit: '% of the time of mapping it page by page',
  published: 'up to 99.8 % less time than conventional memory mapping in Linux',
  source: PAPER,
  method: 'engine',
  inputs: [
    {
      name: 'times',
      value: `of the engine, measured in this run: the median of ${REPEATS}, map and unmap together`,
      source: 'no time of a single mapping was published',
    },
  ],
  rule: 'at most 0.2 % of the time',
  isQuick: false,
  run: mapModel,
};

function mapModel(context: FigureContext): FigureResult {
  const system = new System({ nodeBytes: [16 * 2 ** 30], bufferMiB: 512 });
  const process = system.spawn(1);
  const morsel = Morsel.create(system, '512G');
  if (typeof morsel === 'number') throw new Error(`no memory for a Morsel: ${morsel}`);
  morsel.map(process, ADDR);
  process.touch(ADDR, true, MODEL_PAGES);
  morsel.unmap(process, ADDR);
  const object = system.createObject(OBJECT_SHMEM, MODEL_PAGES * 4096);
  const { machine, mm } = process;
  const hi = ADDR / 4096 / machine.loPages;
  const once = (): void => {
    morsel.map(process, ADDR);
    morsel.unmap(process, ADDR);
  };
  const populate = (): void => {
    process.mmap(ADDR, MODEL_PAGES * 4096, RW, MAP_SHARED | MAP_FIXED, object);
    for (let page = 0; page < MODEL_PAGES; page++) {
      fault(machine, mm, hi + (page >> 18), page & (machine.loPages - 1), true);
    }
    process.munmap(ADDR, MODEL_PAGES * 4096);
  };
  const shares: number[] = [];
  const times: { map: number; populate: number }[] = [];
  for (let i = 0; i <= REPEATS; i++) {
    context.onProgress(`morsels.map, repeat ${i} of ${REPEATS}`);
    const map =
      msOf(context, () => {
        for (let call = 0; call < CALLS; call++) once();
      }) / CALLS;
    const all = msOf(context, populate);
    // The first is for the compiler.
    if (i === 0) continue;
    shares.push((map / all) * 100);
    times.push({ map, populate: all });
  }
  const share = spreadOf(shares).median;
  const parts = [
    atMost('time of mapping, of that page by page', '%', 0.2, share),
    onlyHere(
      'map and unmap as a Morsel',
      'ns',
      Math.round(spreadOf(times.map((t) => t.map)).median * 1e6),
    ),
    onlyHere('page by page', 'ms', Math.round(spreadOf(times.map((t) => t.populate)).median)),
    onlyHere('entries written as a Morsel', 'entries', 1),
    onlyHere('entries written page by page', 'entries', MODEL_PAGES),
  ];
  const { tables = 0 } = morselCounters(machine);
  return {
    here: `${share.toPrecision(2)} % of the time (${Math.min(...shares).toPrecision(2)} to ${Math.max(...shares).toPrecision(2)}): one entry instead of ${MODEL_PAGES.toLocaleString('en')} and their ${tables.toLocaleString('en')} tables`,
    verdict: verdictOf(parts),
    why: 'the ratio is of the engine, whose page by page is far cheaper than that of a kernel; theirs has faults, system calls and a file system in both',
    parts,
  };
}

function msOf(context: FigureContext, work: () => void): number {
  const startMs = context.nowMs();
  work();
  return context.nowMs() - startMs;
}
