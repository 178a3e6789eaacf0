import { Random } from '../../base/index.ts';
import { mark, mmapAnon, SLOT_BYTES, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';
import { Zipf } from './zipf.ts';

const PID = 1;
const BASE_ADDR = 0x7f0000000000 - 2 ** 45;

/**
 * Many sparse tables, some used far more often than others, where not all fit: what a choice of
 * victims by use can do better than a random one ("Need a mechanism to track access frequency of page
 * tables", "A Case for Page Table Reclaim").
 */
export const skewed: Workload = {
  name: 'skewed',
  title: 'a page in each 2 MiB, used by a Zipf law, memory is short',
  machine: 'small',
  parameters: {
    slots: { value: 200_000, least: 1, what: 'slots, each with a page and a table' },
    accesses: { value: 2_000_000, least: 0, what: 'accesses after the first touch of each' },
    skewPercent: { value: 99, least: 0, what: 'exponent of the Zipf law, in hundredths' },
  },
  *events({ slots = 200_000, accesses = 2_000_000, skewPercent = 99 }, seed) {
    yield* startProgram(PID);
    yield mmapAnon(PID, BASE_ADDR, slots * SLOT_BYTES);
    yield writes(PID, BASE_ADDR, slots, SLOT_BYTES);
    yield mark('touched');
    const zipf = new Zipf(slots, skewPercent / 100, new Random(seed));
    // One event for all accesses: readers copy what they keep.
    const access = writes(PID, BASE_ADDR, 1, SLOT_BYTES);
    for (let i = 0; i < accesses; i++) {
      access.addr = BASE_ADDR + zipf.next() * SLOT_BYTES;
      yield access;
    }
    yield mark('used');
  },
};
