import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import {
  Errno,
  InputError,
  MADV_DODUMP,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import { FAULT_SIGBUS, FAULT_SIGSEGV } from '../../src/engine/fault/fault-codes.ts';
import {
  type Process,
  System,
  TOY_GEOMETRY,
  truncateObject,
  usedFrameCount,
  validateMachine,
} from '../../src/engine/index.ts';
import { MM_HUGETLB } from '../../src/engine/space/mm.ts';

const MIB = 2 ** 20;
const HUGE = 2 * MIB;
const GIB = 2 ** 30;
const RW = PROT_READ | PROT_WRITE;
const PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED;
const SHARED = MAP_SHARED | MAP_FIXED;
const A = 0x100000000000;
const B = 0x200000000000;

interface Options {
  readonly pages?: number;
  readonly sharing?: boolean;
  readonly hasContents?: boolean;
  readonly mib?: number;
}

function machine({
  pages = 8,
  sharing = true,
  hasContents = false,
  mib = 128,
}: Options = {}): System {
  return new System({
    nodeBytes: [mib * MIB],
    hugetlbPages: pages,
    hugetlbPmdSharing: sharing,
    hasContents,
    bufferMiB: 64,
  });
}

function pool(system: System): readonly [total: number, free: number, reserved: number] {
  const { hugetlb } = system.machine;
  assert.ok(hugetlb !== null);
  return [hugetlb.pool.total, hugetlb.pool.free, hugetlb.pool.reserved];
}

const hugePages = (p: Process): number => p.machine.words[p.mm + MM_HUGETLB] as number;

describe('hugetlb: the pool', () => {
  it('promises pages at mmap, uses the promise in the fault, takes it back at munmap', () => {
    const system = machine();
    const p = system.spawn(1);
    assert.deepEqual(pool(system), [8, 8, 0]);
    assert.equal(p.mmap(A, 3 * HUGE, RW, PRIVATE), A);
    assert.deepEqual(pool(system), [8, 8, 3]);
    assert.equal(p.touch(A, true), 1);
    assert.equal(p.touch(A + MIB, true), 0, 'the same huge page');
    assert.deepEqual(pool(system), [8, 7, 2]);
    const { rssAnonKiB, vmPteKiB, pteTables } = p.counters();
    assert.deepEqual([rssAnonKiB, vmPteKiB, pteTables], [0, 8, 0], 'one PUD and one PMD table');
    assert.equal(hugePages(p), 1);
    validateMachine(system.machine);
    assert.equal(p.munmap(A, 3 * HUGE), 0);
    assert.deepEqual(pool(system), [8, 8, 0]);
    assert.equal(p.counters().vmPteKiB, 0);
    validateMachine(system.machine);
  });

  it('refuses what it cannot promise, and what it has not got', () => {
    const system = machine();
    const p = system.spawn(1);
    assert.equal(p.mmap(A, 9 * HUGE, RW, PRIVATE), -Errno.ENOMEM);
    assert.equal(p.mmap(A, 9 * HUGE, RW, PRIVATE | MAP_NORESERVE), A);
    assert.equal(p.touch(A, true, 8, HUGE), 8);
    assert.equal(p.touch(A + 8 * HUGE, true), FAULT_SIGBUS);
    assert.equal(p.mmap(B, HUGE, RW, PRIVATE), -Errno.ENOMEM);
    validateMachine(system.machine);
    system.exit(p);
    assert.deepEqual(pool(system), [8, 8, 0]);
    validateMachine(system.machine);
  });

  it('keeps the pages of a file as long as the file', () => {
    const system = machine();
    const p = system.spawn(1);
    const file = system.createHugetlbFile(4 * HUGE);
    assert.equal(p.mmap(A, 4 * HUGE, RW, SHARED, file), A);
    assert.deepEqual(pool(system), [8, 8, 4]);
    assert.equal(p.touch(A, true, 2, HUGE), 2);
    assert.equal(p.munmap(A, 4 * HUGE), 0);
    assert.deepEqual(pool(system), [8, 6, 2], 'reservations of a shared file stay, too');
    assert.equal(p.mmap(A, 4 * HUGE, RW, SHARED, file), A);
    assert.deepEqual(pool(system), [8, 6, 2], 'nothing is promised twice');
    assert.equal(p.madvise(A, HUGE, MADV_REMOVE), 0);
    assert.deepEqual(pool(system), [8, 7, 2], 'a hole drops the page and its promise');
    validateMachine(system.machine);
    assert.equal(truncateObject(system.machine, file, HUGE), 0);
    assert.deepEqual(pool(system), [8, 8, 0]);
    assert.equal(p.touch(A + HUGE, true), FAULT_SIGBUS, 'beyond the end');
    assert.equal(truncateObject(system.machine, file, MIB), -Errno.EINVAL);
    system.exit(p);
    system.closeObject(file);
    validateMachine(system.machine);
  });

  it('has as many pages as memory has blocks for', () => {
    const system = machine({ pages: 10_000 });
    const [total, free] = pool(system);
    assert.ok(total > 40 && total < 64, `${total} of 64 blocks`);
    assert.equal(free, total);
    validateMachine(system.machine);
    assert.throws(() => new System({ geometry: TOY_GEOMETRY, hugetlbPages: 1 }), InputError);
  });
});

describe('hugetlb: what calls refuse', () => {
  it('mmap', () => {
    const system = machine();
    const p = system.spawn(1);
    assert.equal(p.mmap(A + MIB, HUGE, RW, PRIVATE), -Errno.EINVAL, 'address');
    assert.equal(p.mmap(A, 0, RW, PRIVATE), -Errno.EINVAL, 'length');
    assert.equal(p.mmap(A, 4096, RW, PRIVATE), A, 'a length is rounded up');
    assert.equal(p.counters().vmSizeKiB, 2048);
    const file = system.createHugetlbFile(4 * HUGE);
    assert.equal(p.mmap(B, HUGE, RW, SHARED, file, MIB), -Errno.EINVAL, 'offset');
    const hinted = p.mmap(B + 4096, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB);
    assert.equal(hinted, B + HUGE, 'a hint is rounded up');
    assert.equal(p.mmap(0, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB) % HUGE, 0);
    const plain = system.createObject(2, HUGE);
    assert.equal(p.mmap(B, HUGE, RW, SHARED | MAP_HUGETLB, plain), -Errno.EINVAL);
  });

  it('munmap, mprotect, madvise, mremap of parts of pages', () => {
    const system = machine();
    const p = system.spawn(1);
    p.mmap(A, 4 * HUGE, RW, PRIVATE);
    p.touch(A, true, 4, HUGE);
    assert.equal(p.munmap(A, 4096), -Errno.EINVAL);
    assert.equal(p.munmap(A + MIB, HUGE), -Errno.EINVAL);
    assert.equal(p.mprotect(A, 4096, PROT_READ), -Errno.EINVAL);
    assert.equal(p.madvise(A + 4096, HUGE, MADV_DONTNEED), -Errno.EINVAL);
    assert.equal(p.madvise(A, HUGE + 4096, MADV_DONTNEED), 0, 'rounded down');
    assert.equal(hugePages(p), 3);
    assert.equal(p.madvise(A, MIB, MADV_DONTNEED), 0, 'to nothing');
    for (const advice of [MADV_FREE, MADV_PAGEOUT]) {
      assert.equal(p.madvise(A, HUGE, advice), -Errno.EINVAL);
    }
    assert.equal(p.madvise(A, 4 * HUGE, MADV_DODUMP), 0);
    assert.equal(p.mremap(A, 4 * HUGE, 5 * HUGE, MREMAP_MAYMOVE), -Errno.EINVAL, 'growth');
    const move = MREMAP_MAYMOVE | MREMAP_FIXED;
    assert.equal(p.mremap(A, 4 * HUGE, 4 * HUGE, move, B + 4096), -Errno.EINVAL);
    assert.equal(p.mremap(A, 4 * HUGE, 4 * HUGE, move, B), B);
    assert.equal(p.touch(B + HUGE, true), 0, 'moved');
    assert.equal(p.touch(B, true), 1, 'given up before');
    assert.equal(p.mremap(B, 4 * HUGE, 3 * HUGE + 1, 0), B, 'rounded up: nothing to do');
    assert.equal(p.mremap(B, 4 * HUGE, HUGE, 0), B);
    assert.deepEqual(pool(system), [8, 7, 0]);
    validateMachine(system.machine);
  });

  it('rights are the area’s', () => {
    const system = machine();
    const p = system.spawn(1);
    p.mmap(A, 2 * HUGE, RW, PRIVATE);
    p.touch(A, true);
    assert.equal(p.mprotect(A, HUGE, PROT_READ), 0);
    assert.equal(p.touch(A, false), 0);
    assert.equal(p.touch(A, true), FAULT_SIGSEGV);
    assert.equal(p.touch(A + HUGE, true), 1);
    assert.equal(p.mprotect(A, HUGE, RW), 0);
    assert.equal(p.touch(A, true), 1, 'a private page takes a fault to be written again');
    assert.equal(p.mprotect(A, 2 * HUGE, 0), 0);
    assert.equal(p.touch(A, false), FAULT_SIGSEGV);
    validateMachine(system.machine);
  });
});

describe('hugetlb: fork', () => {
  it('copies 2 MiB on write', () => {
    const system = machine({ hasContents: true });
    const p = system.spawn(1);
    p.mmap(A, 2 * HUGE, RW, PRIVATE);
    storePage(system.machine, p.mm, A / 4096 + 5, 77);
    storePage(system.machine, p.mm, A / 4096 + 6, 78);
    const child = system.fork(p, 2);
    assert.ok(child !== undefined);
    assert.deepEqual(pool(system), [8, 7, 1]);
    assert.equal(storePage(system.machine, child.mm, A / 4096 + 5, 99), 77);
    assert.equal(loadPage(system.machine, child.mm, A / 4096 + 6), 78);
    assert.equal(loadPage(system.machine, p.mm, A / 4096 + 5), 77);
    assert.deepEqual(pool(system), [8, 6, 1]);
    validateMachine(system.machine);
    assert.equal(p.touch(A, true), 1, 'alone: taken over');
    assert.deepEqual(pool(system), [8, 6, 1]);
    system.exit(p);
    system.exit(child);
    assert.deepEqual(pool(system), [8, 8, 0]);
    validateMachine(system.machine);
  });

  it('a parent that was promised its pages keeps them, its child loses them', () => {
    const system = machine({ pages: 2 });
    const p = system.spawn(1);
    p.mmap(A, 2 * HUGE, RW, PRIVATE);
    p.touch(A, true, 2, HUGE);
    const child = system.fork(p, 2) as Process;
    assert.equal(child.touch(A, true), FAULT_SIGBUS, 'no page for its copy');
    assert.equal(p.touch(A, true), 1);
    assert.equal(hugePages(child), 1);
    assert.equal(child.touch(A, false), FAULT_SIGBUS, 'lost');
    assert.equal(child.touch(A + HUGE, false), 0, 'the other is still there');
    validateMachine(system.machine);
  });
});

describe('hugetlb: shared tables', () => {
  /** Two processes that map the same two GiB, of which a few pages exist. */
  function two(options: Options = {}): { system: System; p: Process; q: Process; file: number } {
    const system = machine(options);
    const file = system.createHugetlbFile(2 * GIB);
    const p = system.spawn(1);
    const q = system.spawn(2);
    for (const one of [p, q]) {
      assert.equal(one.mmap(A, 2 * GIB, RW, SHARED | MAP_NORESERVE, file), A);
    }
    return { system, p, q, file };
  }

  it('a second mapping of a whole GiB takes the first one’s table', () => {
    const { system, p, q } = two();
    assert.equal(p.touch(A, true, 3, HUGE), 3);
    const frames = usedFrameCount(system.machine);
    assert.equal(q.touch(A, true, 3, HUGE), 1, 'one fault finds the table, with all entries');
    assert.equal(usedFrameCount(system.machine) - frames, 1, 'a PUD table and no PMD table');
    assert.equal(p.counters().vmPteKiB, 8);
    assert.equal(q.counters().vmPteKiB, 8, 'it counts in both');
    assert.deepEqual([hugePages(p), hugePages(q)], [3, 0], 'a page counts where it was faulted in');
    assert.equal(q.touch(A + 3 * HUGE, true), 1);
    assert.equal(p.touch(A + 3 * HUGE, true), 0, 'and is there for the other');
    assert.equal(system.machine.hugetlb?.work.tables, 1);
    validateMachine(system.machine);
    system.exit(p);
    assert.equal(q.touch(A, true, 4, HUGE), 0, 'the table stays for who is left');
    validateMachine(system.machine);
    system.exit(q);
    validateMachine(system.machine);
  });

  it('not where it is switched off', () => {
    const { system, p, q } = two({ sharing: false });
    assert.equal(p.touch(A, true, 3, HUGE), 3);
    assert.equal(q.touch(A, true, 3, HUGE), 3);
    assert.deepEqual([hugePages(p), hugePages(q)], [3, 3]);
    assert.equal(system.machine.hugetlb?.work.tables, 0);
    validateMachine(system.machine);
  });

  it('not for other rights, other places in the GiB, parts of a GiB, private areas', () => {
    const { system, p, file } = two();
    p.touch(A, true, 3, HUGE);
    const others: readonly [at: number, bytes: number, prot: number, flags: number, off: number][] =
      [
        [B, GIB, PROT_READ, SHARED, 0],
        [B + 2 * GIB + HUGE, GIB, RW, SHARED, 0],
        [B + 4 * GIB, GIB - HUGE, RW, SHARED, 0],
        [B + 6 * GIB, GIB, RW, MAP_PRIVATE | MAP_FIXED, 0],
      ];
    const r = system.spawn(3);
    for (const [at, bytes, prot, flags, off] of others) {
      assert.equal(r.mmap(at, bytes, prot, flags | MAP_NORESERVE, file, off), at);
      assert.equal(r.touch(at, false), 1);
      assert.equal(r.touch(at + HUGE, false), 1, 'a fault for each page');
    }
    assert.equal(system.machine.hugetlb?.work.shares, 0);
    // The same GiB of the file at another GiB of addresses: shared.
    assert.equal(r.mmap(B + 8 * GIB, GIB, RW, SHARED | MAP_NORESERVE, file), B + 8 * GIB);
    assert.equal(r.touch(B + 8 * GIB, true, 3, HUGE), 1);
    assert.equal(system.machine.hugetlb?.work.shares, 1);
    validateMachine(system.machine);
  });

  it('is given up before mprotect, and by an unmap of a part', () => {
    const { system, p, q } = two();
    p.touch(A, true, 3, HUGE);
    q.touch(A, true);
    assert.equal(q.mprotect(A, 2 * GIB, PROT_READ), 0);
    assert.equal(p.touch(A, true), 0, 'the other may write as before');
    assert.equal(q.touch(A, false, 3, HUGE), 3, 'its own table, filled by faults');
    assert.equal(q.mprotect(A, 2 * GIB, RW), 0);
    validateMachine(system.machine);
    assert.equal(p.munmap(A + HUGE, HUGE), 0);
    assert.equal(p.touch(A + HUGE, true), FAULT_SIGSEGV);
    assert.equal(q.touch(A + HUGE, true), 0);
    validateMachine(system.machine);
    assert.equal(q.munmap(A + GIB / 2, GIB), 0, 'the only user of its table cuts it');
    assert.equal(q.touch(A, true, 3, HUGE), 0);
    validateMachine(system.machine);
  });

  it('MADV_DONTNEED of a part takes the whole GiB out, for this process only', () => {
    const { system, p, q } = two();
    p.touch(A, true, 3, HUGE);
    q.touch(A, true);
    assert.equal(q.madvise(A, HUGE, MADV_DONTNEED), 0);
    assert.equal(p.touch(A, true, 3, HUGE), 0);
    assert.equal(q.touch(A + HUGE, true, 2, HUGE), 1, 'found again');
    validateMachine(system.machine);
  });

  it('truncation reaches every sharer', () => {
    const { system, p, q, file } = two();
    p.touch(A, true, 3, HUGE);
    q.touch(A, true);
    assert.equal(truncateObject(system.machine, file, HUGE), 0);
    for (const one of [p, q]) {
      assert.equal(one.touch(A + HUGE, false), FAULT_SIGBUS);
      assert.equal(one.touch(A, false), 0, 'the fault that was refused found the table again');
    }
    assert.deepEqual(pool(system), [8, 7, 0]);
    validateMachine(system.machine);
  });
});
