import { parentPort, workerData } from 'node:worker_threads';
import {
  fault,
  LINUX_6_18,
  Machine,
  Process,
  System,
  X86_64_4LEVEL,
} from '../../src/engine/index.ts';

/** One thread of threads.test.ts: touches all pages of the range, gives them back, again and again. */
export interface Start {
  readonly buffer: SharedArrayBuffer;
  readonly cpu: number;
  readonly mm: number;
  readonly addr: number;
  readonly pages: number;
  readonly rounds: number;
  /** Pages given back by one call. */
  readonly pieces: number;
}

const start = workerData as Start;
const m = Machine.attach(start.buffer, start.cpu, X86_64_4LEVEL, LINUX_6_18);
const process = new Process(new System(m), 1, start.mm);
const hi = Math.floor(start.addr / 4096 / m.loPages);
let refused = 0;
for (let round = 0; round < start.rounds; round++) {
  for (let i = 0; i < start.pages; i++) {
    const page = (i * (2 * start.cpu + 1)) % start.pages;
    if (fault(m, start.mm, hi, page, true) < 0) refused += 1;
  }
  const bytes = start.pieces * 4096;
  for (let at = 0; at < start.pages * 4096; at += bytes) {
    if (process.madvise(start.addr + at, bytes, 4) !== 0) refused += 1;
  }
}
parentPort?.postMessage(refused);
