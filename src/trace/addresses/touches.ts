import { type AddressBatch, BATCH_ENTRIES } from '../../base/index.ts';
import { Op, type TraceReader } from '../event.ts';
import type { AddressSource } from './address-source.ts';

/** Address spaces are told apart above the 47 bits of a user address (the hardware's PCID). */
const SPACE_FACTOR = 2 ** 47;
/** What 57 bits of address leave room for; numbers are used again beyond, without a flush. */
const SPACES_MAX = 1024;

/**
 * The touches of a pagelab recording or workload. A recording has the accesses that faulted, not
 * all: it shows which pages a program uses, and its misses are those of a program that uses each
 * page once. Each process is an address space of its own; nothing is invalidated by its calls.
 */
export class TouchSource implements AddressSource {
  readonly #reader: TraceReader;
  readonly #spaces = new Map<number, number>();
  /** What is left of an event with a count. */
  #left = 0;
  #addr = 0;
  #strideBytes = 0;

  constructor(reader: TraceReader) {
    this.#reader = reader;
  }

  fill(batch: AddressBatch): boolean {
    while (batch.count < BATCH_ENTRIES) {
      if (this.#left === 0 && !this.#nextTouch()) return batch.count > 0;
      batch.addGranule(Math.floor(this.#addr / batch.granuleBytes));
      this.#addr += this.#strideBytes;
      this.#left -= 1;
    }
    return true;
  }

  #nextTouch(): boolean {
    for (let event = this.#reader.next(); event !== null; event = this.#reader.next()) {
      if (event.op !== Op.touch || event.count < 1) continue;
      this.#left = event.count;
      this.#strideBytes = event.strideBytes;
      this.#addr = event.addr + this.#spaceOf(event.pid) * SPACE_FACTOR;
      return true;
    }
    return false;
  }

  #spaceOf(pid: number): number {
    let space = this.#spaces.get(pid);
    if (space === undefined) {
      space = this.#spaces.size % SPACES_MAX;
      this.#spaces.set(pid, space);
    }
    return space;
  }
}
