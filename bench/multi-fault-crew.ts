import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../src/base/index.ts';
import { System } from '../src/engine/index.ts';
import type { EngineBuild } from './engine-build.ts';
import { RANGE_ADDR } from './engine-range.ts';
import {
  DROPPED_PAGES,
  type MultiFaultAnswer,
  type MultiFaultStart,
} from './multi-fault-worker.ts';

/** A side of the comparison: a build of the engine, and the way in which references are kept. */
export interface Side {
  readonly build: EngineBuild;
  /** Id of the mechanism that every thread attaches; null: none. */
  readonly way: string | null;
}

/** ns a fault: the touches alone, and with the drop. */
export interface Turn {
  readonly touchNs: number;
  readonly totalNs: number;
}

/** Each thread has an area of its own, as mmap in each thread would give it: no two are one VMA. */
const AREA_BYTES = 2 ** 29;
const DISTANCE_BYTES = 2 ** 30;

/** Threads of one process, on one machine of one side. */
export class Crew {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start({ build, way }: Side, threads: number, slots: number): Promise<Crew> {
    // The creator, cpu 0, does nothing while the threads run: the first of them is cpu 0 too.
    const system = new System({ isShared: true, cpus: threads, bufferMiB: 512 });
    const buffer = system.machine.buffer as SharedArrayBuffer;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const workers: Worker[] = [];
    const process = system.spawn(1);
    const common = { buffer, mm: process.mm, slots, way, koffiPath: koffiPath() };
    for (let cpu = 0; cpu < threads; cpu++) {
      const at = RANGE_ADDR + cpu * DISTANCE_BYTES;
      const addr = process.mmap(at, AREA_BYTES, PROT_READ | PROT_WRITE, flags);
      if (addr !== at) throw new Error(`engine: mmap gave ${addr}`);
      const workerData: MultiFaultStart = { ...common, cpu, addr };
      workers.push(new Worker(build.workerUrl, { workerData }));
    }
    const crew = new Crew(workers);
    await crew.all(1);
    return crew;
  }

  async run(rounds: number): Promise<Turn> {
    const answers = await this.all(rounds);
    const sum = (value: (answer: MultiFaultAnswer) => number): number =>
      answers.reduce((total, answer) => total + value(answer), 0);
    const faults = sum((answer) => answer.faults);
    const touchNs = sum((answer) => answer.touchNs);
    return { touchNs: touchNs / faults, totalNs: (touchNs + sum((a) => a.dropNs)) / faults };
  }

  async all(rounds: number): Promise<MultiFaultAnswer[]> {
    const answers = this.#workers.map((worker) => once(worker, 'message'));
    for (const worker of this.#workers) worker.postMessage(rounds);
    return Promise.all(answers.map(async (answer) => (await answer)[0] as MultiFaultAnswer));
  }

  async stop(): Promise<void> {
    const ends = this.#workers.map((worker) => once(worker, 'exit'));
    for (const worker of this.#workers) worker.postMessage(null);
    await Promise.all(ends);
  }
}

/**
 * The comparison is one only if each side counts what it should: entries, or nothing; and references,
 * which are as many as the entries, for no walker is on its way then.
 */
export function checkCounts(
  answers: readonly MultiFaultAnswer[],
  hasCount: boolean,
  hasRefs: boolean,
): void {
  const full = DROPPED_PAGES + 1;
  for (const { count, refs } of answers) {
    if (hasCount !== (count === full)) throw new Error(`counted ${count} of ${full} entries`);
    if (refs !== (hasRefs ? full : null)) throw new Error(`${refs} references to ${full} entries`);
  }
}

/** koffi's main module; null where it is not installed. */
export function koffiPath(): string | null {
  try {
    return createRequire(import.meta.url).resolve('koffi');
  } catch {
    return null;
  }
}
