import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../base/index.ts';
import { freeFrameCount, OBJECT_FILE, type Process, System } from '../../engine/index.ts';
import { attachMechanisms, parseKernel } from '../kernels.ts';

/**
 * Experiments run the engine without a trace, to show what a mechanism does to a machine. This one
 * makes the machine of hotplug.ts: programs fill it with data and with sparse mappings, all at once,
 * so that page tables come to lie all over the memory; then they give memory back in pieces, and
 * some end. Linux groups unmovable frames by pageblock, but each pageblock that was claimed for
 * tables keeps those that are left.
 *
 * The sizes are ours. The tables' share at the fullest follows the talk's case, 100 GiB of tables
 * beside 600 GiB of data ("A Case for Page Table Reclaim").
 */
export interface ScatterSettings {
  readonly memoryMiB: number;
  readonly programs: number;
  /** Part of memory in use at the fullest, and part of that which is page tables. */
  readonly filled: number;
  readonly tableShare: number;
  /** Part of the dense pages that is given back, and of the programs that end. */
  readonly givenBack: number;
  readonly ended: number;
  /** Part of the dense pages that are a file's: their index nodes are unmovable, too. */
  readonly fileShare: number;
}

export const SCATTER_DEFAULTS: ScatterSettings = {
  memoryMiB: 8192,
  programs: 32,
  filled: 0.8,
  tableShare: 1 / 7,
  givenBack: 0.6,
  ended: 0.25,
  fileShare: 0,
};

const GIB = 2 ** 30;
const SLOT_BYTES = 2 ** 21;
const DENSE_AT = 0x100000000000;
const SPARSE_AT = 0x200000000000;
const FILE_AT = 0x300000000000;
/** Address space of each program for each kind. */
const DENSE_BYTES = 16 * GIB;
const SPARSE_BYTES = 64 * GIB;
const RUN_PAGES = 256;
const PAGE = 4096;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

interface Program {
  readonly process: Process;
  /** Dense runs of RUN_PAGES, by their address; slots touched once, by number. */
  readonly runs: number[];
  readonly slots: number[];
}

/** The machine after all that, under a kernel. The seed decides who does what when. */
export function scatterTables(kernelName: string, settings: ScatterSettings, seed: number): System {
  const kernel = parseKernel(kernelName);
  const system = new System({
    rules: kernel.rules,
    nodeBytes: [settings.memoryMiB * 2 ** 20],
    bufferMiB: 1024,
  });
  attachMechanisms(system.machine, kernel);
  const random = new Random(seed);
  const file = system.createObject(OBJECT_FILE, settings.programs * DENSE_BYTES);
  const programs = Array.from({ length: settings.programs }, (_, i) => start(system, i, file));
  system.closeObject(file);
  fill(system, programs, settings, random);
  for (const program of programs) giveBack(program, settings, random);
  for (const { process } of programs.slice(0, Math.floor(settings.ended * programs.length))) {
    system.exit(process);
  }
  return system;
}

function start(system: System, number: number, file: number): Program {
  const process = system.spawn(number + 1);
  const rw = PROT_READ | PROT_WRITE;
  process.mmap(DENSE_AT, DENSE_BYTES, rw, ANON);
  process.mmap(SPARSE_AT, SPARSE_BYTES, rw, ANON);
  const off = number * DENSE_BYTES;
  process.mmap(FILE_AT, DENSE_BYTES, rw, MAP_SHARED | MAP_FIXED, file, off);
  return { process, runs: [], slots: [] };
}

function fill(
  system: System,
  programs: readonly Program[],
  settings: ScatterSettings,
  random: Random,
): void {
  const m = system.machine;
  const frames = settings.memoryMiB * 256;
  const least = frames * (1 - settings.filled);
  // A slot costs a table and a page, a run 256 pages and half a table.
  const sparseTurn = (settings.tableShare * RUN_PAGES) / (1 - 2 * settings.tableShare);
  for (let debt = 0; freeFrameCount(m) > least; ) {
    const program = random.pick(programs);
    touchRun(program, settings, random);
    for (debt += sparseTurn; debt >= 1; debt--) {
      const slot = random.below(SPARSE_BYTES / SLOT_BYTES);
      const { process, slots } = random.pick(programs);
      if (process.touch(SPARSE_AT + slot * SLOT_BYTES, true) > 0) slots.push(slot);
    }
  }
}

function touchRun({ process, runs }: Program, settings: ScatterSettings, random: Random): void {
  const base = random.chance(settings.fileShare) ? FILE_AT : DENSE_AT;
  const addr = base + random.below(DENSE_BYTES / (RUN_PAGES * PAGE)) * RUN_PAGES * PAGE;
  if (process.touch(addr, true, RUN_PAGES) > 0) runs.push(addr);
}

/** Sparse pages in pieces of one page, which leaves their tables; dense memory in pieces of a few. */
function giveBack(
  { process, runs, slots }: Program,
  settings: ScatterSettings,
  random: Random,
): void {
  for (const slot of slots) process.madvise(SPARSE_AT + slot * SLOT_BYTES, PAGE, MADV_DONTNEED);
  for (const addr of runs) {
    for (let page = 0; page < RUN_PAGES; ) {
      const pages = Math.min(random.between(1, 32), RUN_PAGES - page);
      if (random.chance(settings.givenBack)) {
        process.madvise(addr + page * PAGE, pages * PAGE, MADV_DONTNEED);
      }
      page += pages;
    }
  }
}
