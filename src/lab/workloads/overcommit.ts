import { mark, mmapAnon, SLOT_BYTES, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';

const BASE_ADDR = 0x100000000000;

/**
 * Many processes with sparse memory on a small machine: their pages would fit, their page tables do
 * not ("Swapping helps manage memory overcommitment situations; reduced OOM killer invocations").
 * All of them touch a part of what they have, in turns, until each has touched everything.
 */
export const overcommit: Workload = {
  name: 'overcommit',
  title: 'sparse processes on a machine too small for their tables',
  machine: 'small',
  parameters: {
    processes: { value: 40, least: 1, what: 'processes' },
    slots: { value: 10_000, least: 1, what: 'slots of each, a page in each' },
    turns: { value: 10, least: 1, what: 'turns in which they are touched' },
  },
  *events({ processes = 40, slots = 10_000, turns = 10 }) {
    for (let pid = 1; pid <= processes; pid++) {
      yield* startProgram(pid);
      yield mmapAnon(pid, BASE_ADDR, slots * SLOT_BYTES);
    }
    const each = Math.ceil(slots / turns);
    for (let first = 0; first < slots; first += each) {
      for (let pid = 1; pid <= processes; pid++) {
        const count = Math.min(each, slots - first);
        yield writes(pid, BASE_ADDR + first * SLOT_BYTES, count, SLOT_BYTES);
      }
    }
    yield mark('touched');
  },
};
