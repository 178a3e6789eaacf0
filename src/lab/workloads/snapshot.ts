import { Random } from '../../base/index.ts';
import { Op } from '../../trace/index.ts';
import { event, GIB_BYTES, mark, mmapAnon, reads, startProgram, writes } from './program.ts';
import type { Workload } from './workload.ts';

const PARENT = 1;
const BASE_ADDR = 0x7f0000000000;
const PAGE_BYTES = 4096;
/** The child reads and the parent writes in turn, so many times. */
const PIECES = 16;

/**
 * A snapshot by fork, as Redis' BGSAVE makes one: the child reads all memory of its parent and ends,
 * while the parent goes on writing pages all over it.
 */
export const snapshot: Workload = {
  name: 'snapshot',
  title: 'fork; the child reads all memory and ends, the parent writes pages of it at random',
  parameters: {
    gib: { value: 1, least: 1, what: 'GiB of written memory' },
    forks: { value: 3, least: 1, what: 'snapshots, one after the other' },
    writes: { value: 20_000, least: 0, what: "the parent's writes during each" },
  },
  *events({ gib = 1, forks = 3, writes: count = 20_000 }, seed) {
    const random = new Random(seed);
    const pages = (gib * GIB_BYTES) / PAGE_BYTES;
    yield* startProgram(PARENT);
    yield mmapAnon(PARENT, BASE_ADDR, gib * GIB_BYTES);
    yield writes(PARENT, BASE_ADDR, pages, PAGE_BYTES);
    for (let i = 0; i < forks; i++) {
      const child = PARENT + 1 + i;
      yield event({ op: Op.fork, pid: PARENT, child });
      yield mark('forked');
      for (let piece = 0; piece < PIECES; piece++) {
        yield reads(child, BASE_ADDR + (piece * pages * PAGE_BYTES) / PIECES, pages / PIECES);
        for (let n = 0; n < Math.floor(count / PIECES); n++) {
          yield writes(PARENT, BASE_ADDR + random.below(pages) * PAGE_BYTES, 1, PAGE_BYTES);
        }
      }
      yield event({ op: Op.exit, pid: child });
    }
  },
};
