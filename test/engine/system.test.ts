import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  errnoName,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MCL_CURRENT,
  MCL_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import {
  areasOf,
  type Counters,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  LINUX_6_1,
  type MachineOptions,
  OBJECT_FILE,
  OBJECT_SHMEM,
  type Process,
  punchObject,
  System,
  TOY_GEOMETRY,
  truncateObject,
  validateMachine,
  X86_64_5LEVEL,
} from '../../src/engine/index.ts';

/** Small cases by hand through the public interface: every expected number is counted in the text. */
const PAGE = 4096;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const A = 0x100000000000;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;
const FIXED = ANON | MAP_FIXED | MAP_NORESERVE;

function start(options: MachineOptions = {}): { system: System; process: Process } {
  const system = new System({ nodeBytes: [64 * MIB], bufferMiB: 64, ...options });
  return { system, process: system.spawn(1) };
}

function expectCounters(process: Process, expected: Partial<Counters>, what?: string): void {
  const all = process.counters();
  const got = Object.fromEntries(Object.keys(expected).map((k) => [k, all[k as keyof Counters]]));
  assert.deepEqual(got, expected, what);
  validateMachine(process.machine);
}

test('a new process has a top table, which VmPTE does not count', () => {
  expectCounters(start().process, {
    vmPteKiB: 0,
    pteTables: 0,
    pmdTables: 0,
    pudTables: 0,
    presentPages: 0,
    vmSizeKiB: 0,
    faults: 0,
  });
});

test('mmap alone costs no table; the first touch three, a neighbour none', () => {
  const { process } = start();
  assert.equal(process.mmap(A, 2 * GIB, RW, FIXED), A);
  expectCounters(process, { vmSizeKiB: 2 * 2 ** 20, vmPteKiB: 0, faults: 0 });
  assert.equal(process.touch(A + 123, true), 1);
  expectCounters(process, { vmPteKiB: 12, rssAnonKiB: 4, presentPages: 1, faults: 1 });
  assert.equal(process.touch(A + PAGE, true), 1);
  expectCounters(process, { vmPteKiB: 12, rssAnonKiB: 8, faults: 2 });
  assert.equal(process.touch(A, true), 0, 'it is there');
  // The next 2 MiB: one PTE table. The next GiB: one PTE and one PMD table.
  assert.equal(process.touch(A + 2 * MIB, true), 1);
  expectCounters(process, { vmPteKiB: 16, pteTables: 2, pmdTables: 1, pudTables: 1 });
  assert.equal(process.touch(A + GIB, true), 1);
  expectCounters(process, { vmPteKiB: 24, pteTables: 3, pmdTables: 2, pudTables: 1 });
});

test('a strided touch counts its faults', () => {
  const { process } = start();
  process.mmap(A, GIB, RW, FIXED);
  assert.equal(process.touch(A, true, 512, 2 * MIB), 512);
  expectCounters(process, { pteTables: 512, rssAnonKiB: 2048, faults: 512 });
  assert.equal(process.touch(A, true, 1024, MIB), 512, 'every second is there');
  assert.equal(process.touch(A, true, 3, GIB), FAULT_SIGSEGV, 'the second is beyond');
});

test('a read maps the zero page; a write then makes a page of its own', () => {
  const { process } = start();
  process.mmap(A, 4 * PAGE, RW, FIXED);
  assert.equal(process.touch(A, false, 4), 4);
  expectCounters(process, { presentPages: 4, rssAnonKiB: 0, vmPteKiB: 12, faults: 4 });
  assert.equal(process.touch(A, false, 4), 0);
  assert.equal(process.touch(A + PAGE, true), 1);
  expectCounters(process, { presentPages: 4, rssAnonKiB: 4, faults: 5 });
});

test('fork shares pages; whoever writes first copies, the last user takes the page', () => {
  const { system, process: parent } = start();
  parent.mmap(A, 8 * PAGE, RW, FIXED);
  assert.equal(parent.touch(A, true, 8), 8);
  const child = system.fork(parent, 2) as Process;
  const both = { rssAnonKiB: 32, presentPages: 8, vmPteKiB: 12 };
  expectCounters(child, { ...both, faults: 0, cowFaults: 0 });
  assert.equal(child.touch(A, false, 8), 0, 'reads need no copy');
  assert.equal(child.touch(A, true, 3), 3);
  expectCounters(child, { ...both, faults: 3, cowFaults: 3 });
  expectCounters(parent, { ...both, faults: 8, cowFaults: 0 });
  // The parent is alone on the three now: it faults for the right to write, without a copy.
  assert.equal(parent.touch(A, true, 3), 3);
  expectCounters(parent, { ...both, faults: 11 });
  assert.equal(child.touch(A, true, 8), 5);
  expectCounters(child, { ...both, cowFaults: 8 });
  system.exit(child);
  assert.ok(!child.isAlive);
  expectCounters(parent, both);
});

test('a child that never writes is given exactly what the parent had; its exit gives all back', () => {
  const { system, process } = start();
  process.mmap(A, 100 * PAGE, RW, FIXED);
  process.touch(A, true, 100);
  const before = process.counters();
  const children = [2, 3, 4].map((pid) => system.fork(process, pid) as Process);
  for (const child of children) expectCounters(child, { rssAnonKiB: 400, vmSizeKiB: 400 });
  for (const child of children) system.exit(child);
  expectCounters(process, before);
  assert.deepEqual(
    [...system.processes()].map(({ pid }) => pid),
    [1],
  );
});

test('vfork lends the address space; exec of the child leaves it alone', () => {
  const { system, process } = start();
  process.mmap(A, 8 * PAGE, RW, FIXED);
  const child = system.fork(process, 2, true) as Process;
  assert.equal(child.touch(A, true, 2), 2);
  expectCounters(process, { rssAnonKiB: 8 });
  system.exec(child);
  expectCounters(child, { vmSizeKiB: 0, rssAnonKiB: 0 });
  expectCounters(process, { rssAnonKiB: 8, vmSizeKiB: 32 });
});

test('exec gives an empty address space to the same process', () => {
  const { system, process } = start();
  process.mmap(A, 8 * PAGE, RW, FIXED);
  process.touch(A, true, 8);
  system.exec(process);
  assert.ok(process.isAlive);
  assert.equal(process.touch(A, false), FAULT_SIGSEGV);
  expectCounters(process, { vmSizeKiB: 0, vmPteKiB: 0, rssAnonKiB: 0, faults: 0 });
});

test('shared memory is there for all; its tables each has for itself', () => {
  const { system, process } = start();
  const memory = system.createObject(OBJECT_SHMEM, 16 * PAGE);
  process.mmap(A, 16 * PAGE, RW, MAP_SHARED | MAP_FIXED, memory);
  assert.equal(process.touch(A, true, 16), 16);
  expectCounters(process, { rssShmemKiB: 64, rssAnonKiB: 0, vmPteKiB: 12 });
  // fork leaves shared memory to faults; a read maps the 16 pages around it at once.
  const child = system.fork(process, 2) as Process;
  expectCounters(child, { rssShmemKiB: 0, vmPteKiB: 0 });
  assert.equal(child.touch(A, false, 16), 1);
  expectCounters(child, { rssShmemKiB: 64, vmPteKiB: 12, cowFaults: 0 });
});

test("a write to a private file page is a copy; the file's page stays the file's", () => {
  const { system, process } = start();
  const file = system.createObject(OBJECT_FILE, 64 * PAGE);
  process.mmap(A, 64 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, file);
  assert.equal(process.touch(A + 20 * PAGE, false), 1);
  expectCounters(process, { rssFileKiB: 64, rssAnonKiB: 0, faults: 1 });
  assert.equal(process.touch(A + 16 * PAGE, true), 1);
  expectCounters(process, { rssFileKiB: 60, rssAnonKiB: 4, faults: 2, cowFaults: 1 });
  assert.equal(process.touch(A, true), 1);
  expectCounters(process, { rssFileKiB: 60, rssAnonKiB: 8, presentPages: 17 });
});

test('munmap gives pages and tables back; neighbours keep the tables that they share', () => {
  const { process } = start();
  process.mmap(A, 4 * MIB, RW, FIXED);
  process.touch(A, true, 1024);
  expectCounters(process, { pteTables: 2, vmPteKiB: 16 });
  assert.equal(process.munmap(A + MIB, 2 * MIB), 0);
  expectCounters(process, { pteTables: 2, rssAnonKiB: 2048, vmSizeKiB: 2048 });
  assert.equal(process.munmap(A, MIB), 0);
  expectCounters(process, { pteTables: 1, vmPteKiB: 12, rssAnonKiB: 1024 });
  assert.equal(process.munmap(A, 4 * MIB), 0);
  expectCounters(process, { vmPteKiB: 0, vmSizeKiB: 0, rssAnonKiB: 0 });
});

test('MADV_DONTNEED of a whole slot frees its table since Linux 6.14, of a part never', () => {
  for (const [rules, whole] of [
    [LINUX_6_1, 12],
    [undefined, 8],
  ] as const) {
    const { process } = start(rules === undefined ? {} : { rules });
    process.mmap(A, 2 * MIB, RW, FIXED);
    process.touch(A, true, 512);
    assert.equal(process.madvise(A, MIB, MADV_DONTNEED), 0);
    assert.equal(process.madvise(A + MIB, MIB, MADV_DONTNEED), 0);
    expectCounters(process, { vmPteKiB: 12, emptyTables: 1, rssAnonKiB: 0, tablesFreed: 0 });
    process.touch(A, true);
    assert.equal(process.madvise(A, 2 * MIB, MADV_DONTNEED), 0);
    expectCounters(process, { vmPteKiB: whole, rssAnonKiB: 0, vmSizeKiB: 2048 });
  }
});

test('mremap moves pages with their contents: no fault afterwards', () => {
  const { process } = start();
  process.mmap(A, 8 * PAGE, RW, FIXED);
  process.touch(A, true, 8);
  const to = A + 4 * GIB;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  assert.equal(process.mremap(A, 8 * PAGE, 8 * PAGE, flags, to), to);
  assert.equal(process.touch(to, true, 8), 0);
  assert.equal(process.touch(A, false), FAULT_SIGSEGV);
  expectCounters(process, { rssAnonKiB: 32, vmSizeKiB: 32, faults: 8 });
  assert.equal(process.mremap(to, 8 * PAGE, 3 * PAGE, 0), to);
  expectCounters(process, { rssAnonKiB: 12, vmSizeKiB: 12 });
  assert.equal(process.mremap(to, 3 * PAGE, 5 * PAGE, 0), to);
  expectCounters(process, { rssAnonKiB: 12, vmSizeKiB: 20 });
});

test('mmap without an address goes below the last one, and merges with it', () => {
  const { process } = start();
  const first = process.mmap(0, 4 * PAGE, RW, ANON);
  const second = process.mmap(0, PAGE, RW, ANON);
  assert.equal(second, first - PAGE);
  const areas = areasOf(process.machine, process.mm);
  assert.deepEqual(
    areas.map(({ start, end, prot }) => [start, end, prot]),
    [[second, first + 4 * PAGE, RW]],
  );
  assert.equal(process.mmap(A + 100, PAGE, RW, ANON), A, 'a hint is rounded down');
  assert.equal(process.mmap(first, PAGE, RW, ANON), second - PAGE, 'a hint that is taken');
});

// ---------------------------------------------------------------------------------------------

test('toy geometry: three levels of 16 entries, walked by hand', () => {
  const { process } = start({ geometry: TOY_GEOMETRY });
  // 16 pages a PTE table, 256 a PMD table, 4096 all in all; the top table is the third level.
  process.mmap(0x10000, 4000 * PAGE, RW, FIXED);
  const at = (page: number): number => page * PAGE;
  process.touch(at(16), true); // PTE table 1 of PMD table 0
  expectCounters(process, { pteTables: 1, pmdTables: 1, pudTables: 0, vmPteKiB: 8 });
  process.touch(at(31), true); // the same PTE table
  expectCounters(process, { pteTables: 1, pmdTables: 1, vmPteKiB: 8, rssAnonKiB: 8 });
  process.touch(at(32), true); // PTE table 2
  expectCounters(process, { pteTables: 2, pmdTables: 1, vmPteKiB: 12 });
  process.touch(at(255), true); // the last PTE table of PMD table 0
  process.touch(at(256), true); // the first of PMD table 1
  expectCounters(process, { pteTables: 4, pmdTables: 2, vmPteKiB: 24 });
  assert.equal(process.touch(at(16), true, 251, PAGE * 16), FAULT_SIGSEGV, 'page 4016');
  // One page in each PTE table from the second on: 250 tables; 16 PMD tables.
  expectCounters(process, { pteTables: 250, pmdTables: 16, vmPteKiB: 1064, rssAnonKiB: 4 * 252 });
  assert.equal(process.munmap(at(16), 4000 * PAGE), 0);
  expectCounters(process, { vmPteKiB: 0, rssAnonKiB: 0 });
  assert.equal(process.mmap(at(4095), PAGE, RW, FIXED), at(4095), 'the last page');
  assert.equal(process.mmap(at(4095), 2 * PAGE, RW, FIXED), -12);
  assert.equal(process.mmap(at(4096), PAGE, RW, FIXED), -12);
});

test('toy geometry: fork, copy-on-write and whole-slot advice work as on the large one', () => {
  const { system, process } = start({ geometry: TOY_GEOMETRY });
  process.mmap(0, 64 * PAGE, RW, FIXED);
  assert.equal(process.touch(0, true, 64), 64);
  expectCounters(process, { pteTables: 4, pmdTables: 1, vmPteKiB: 20 });
  const child = system.fork(process, 2) as Process;
  expectCounters(child, { pteTables: 4, vmPteKiB: 20, rssAnonKiB: 256 });
  assert.equal(child.touch(0, true, 16), 16);
  assert.equal(child.madvise(16 * PAGE, 16 * PAGE, MADV_DONTNEED), 0);
  expectCounters(child, { pteTables: 3, vmPteKiB: 16, rssAnonKiB: 192, cowFaults: 16 });
  expectCounters(process, { pteTables: 4, vmPteKiB: 20, rssAnonKiB: 256 });
});

test('5 levels: addresses beyond 2^47, and VmPTE without the P4D table', () => {
  const { process } = start({ geometry: X86_64_5LEVEL });
  const high = 2 ** 48 + 5 * GIB;
  assert.equal(process.mmap(high, 2 * GIB, RW, FIXED), high);
  assert.equal(process.touch(high, true), 1);
  // PTE, PMD, PUD count; P4D and the top table do not.
  expectCounters(process, { pteTables: 1, pmdTables: 1, pudTables: 1, vmPteKiB: 12 });
  // The same P4D table spans 2^48 bytes: another PUD table below it.
  const sameP4d = 2 ** 48 + 3 * 2 ** 39;
  process.mmap(sameP4d, PAGE, RW, FIXED);
  process.touch(sameP4d, true);
  expectCounters(process, { pteTables: 2, pmdTables: 2, pudTables: 2, vmPteKiB: 24 });
  // The last page of user space: another P4D table, which is not counted either.
  const last = 2 ** 56 - 2 * PAGE;
  assert.equal(process.mmap(last, PAGE, RW, FIXED), last);
  assert.equal(process.touch(last, true), 1);
  expectCounters(process, { pteTables: 3, pmdTables: 3, pudTables: 3, vmPteKiB: 36 });
  assert.equal(process.mmap(last, 2 * PAGE, RW, FIXED), -12, 'the page above is not ours');
  assert.equal(process.munmap(high, 2 * GIB), 0);
  assert.equal(process.munmap(sameP4d, PAGE), 0);
  assert.equal(process.munmap(last, PAGE), 0);
  expectCounters(process, { vmPteKiB: 0, rssAnonKiB: 0 });
});

test('5 levels: fork copies what lies high up', () => {
  const { system, process } = start({ geometry: X86_64_5LEVEL });
  const high = 2 ** 52;
  process.mmap(high, 4 * MIB, RW, FIXED);
  assert.equal(process.touch(high, true, 1024), 1024);
  const child = system.fork(process, 2) as Process;
  expectCounters(child, { rssAnonKiB: 4096, vmPteKiB: 16 });
  assert.equal(child.touch(high, true, 1024), 1024);
  expectCounters(child, { cowFaults: 1024 });
});

test('4 levels: nothing at or beyond 2^47 less a page', () => {
  const { process } = start();
  const end = 2 ** 47 - PAGE;
  assert.equal(process.mmap(end - PAGE, PAGE, RW, FIXED), end - PAGE);
  assert.equal(process.touch(end - 1, true), 1);
  assert.equal(process.touch(end, true), FAULT_SIGSEGV);
  assert.equal(process.mmap(end, PAGE, RW, FIXED), -12);
  assert.equal(process.touch(2 ** 48, false), FAULT_SIGSEGV);
});

// ---------------------------------------------------------------------------------------------

test('brk grows and shrinks by bytes, pages come and go', () => {
  const { process } = start();
  const heap = 0x4a8ca000;
  process.setStartBrk(heap);
  assert.equal(process.brk(heap), heap);
  expectCounters(process, { vmSizeKiB: 0 });
  assert.equal(process.brk(heap + 10_000), heap + 10_000);
  expectCounters(process, { vmSizeKiB: 12 });
  assert.equal(process.touch(heap, true, 3), 3);
  assert.equal(process.touch(heap + 3 * PAGE, true), FAULT_SIGSEGV);
  // Within the same page nothing changes.
  assert.equal(process.brk(heap + 3 * PAGE), heap + 3 * PAGE);
  expectCounters(process, { vmSizeKiB: 12, rssAnonKiB: 12 });
  assert.equal(process.brk(heap + PAGE + 1), heap + PAGE + 1);
  expectCounters(process, { vmSizeKiB: 8, rssAnonKiB: 8 });
  assert.equal(process.brk(heap - 1), heap + PAGE + 1, 'not below its start');
  assert.equal(process.brk(0), heap + PAGE + 1, 'brk(0) asks where it is');
  assert.equal(process.brk(heap), heap);
  expectCounters(process, { vmSizeKiB: 0, vmPteKiB: 0 });
});

test('brk stops one page before the next area', () => {
  const { process } = start();
  const heap = 0x4a8ca000;
  process.setStartBrk(heap);
  process.mmap(heap + 8 * PAGE, PAGE, RW, FIXED);
  assert.equal(process.brk(heap + 8 * PAGE), heap, 'no page left between');
  assert.equal(process.brk(heap + 7 * PAGE), heap + 7 * PAGE);
  expectCounters(process, { vmSizeKiB: 32 });
});

// ---------------------------------------------------------------------------------------------

const NOWHERE = A + 64 * GIB;

/**
 * Calls that the manual pages of mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2), mlock(2)
 * and mlockall(2) refuse. The process has 4 pages rw at A, a hole of 4, 4 pages r at A + 8 pages,
 * 4 pages of shared memory at A + GiB, and 4 locked ones at A + 2 GiB.
 */
const REFUSED: readonly [what: string, call: (p: Process) => number, errno: string][] = [
  ['mmap of nothing', (p) => p.mmap(NOWHERE, 0, RW, FIXED), 'EINVAL'],
  ['mmap neither private nor shared', (p) => p.mmap(NOWHERE, PAGE, RW, MAP_ANONYMOUS), 'EINVAL'],
  ['mmap at an odd address', (p) => p.mmap(NOWHERE + 1, PAGE, RW, FIXED), 'EINVAL'],
  ['mmap at an odd offset', (p) => p.mmap(NOWHERE, PAGE, RW, FIXED, 0, 100), 'EINVAL'],
  ['mmap larger than the address space', (p) => p.mmap(0, 2 ** 47, RW, ANON), 'ENOMEM'],
  ['mmap beyond the address space', (p) => p.mmap(2 ** 47, PAGE, RW, FIXED), 'ENOMEM'],
  ['mmap of more memory than there is', (p) => p.mmap(0, GIB, RW, ANON), 'ENOMEM'],
  ['shared growsdown', (p) => p.mmap(0, PAGE, RW, 0x21 | MAP_GROWSDOWN), 'EINVAL'],
  ['noreplace over an area', (p) => p.mmap(A, PAGE, RW, ANON | MAP_FIXED_NOREPLACE), 'EEXIST'],
  [
    'noreplace over the end of an area',
    (p) => p.mmap(A + 3 * PAGE, 8 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE),
    'EEXIST',
  ],
  ['munmap of nothing', (p) => p.munmap(A, 0), 'EINVAL'],
  ['munmap at an odd address', (p) => p.munmap(A + 1, PAGE), 'EINVAL'],
  ['munmap beyond the address space', (p) => p.munmap(A, 2 ** 47), 'EINVAL'],
  ['mprotect at an odd address', (p) => p.mprotect(A + 1, PAGE, RW), 'EINVAL'],
  ['mprotect of a hole', (p) => p.mprotect(A + 4 * PAGE, PAGE, RW), 'ENOMEM'],
  ['mprotect into a hole', (p) => p.mprotect(A, 5 * PAGE, RW), 'ENOMEM'],
  ['mprotect of unknown rights', (p) => p.mprotect(A, PAGE, 0x80), 'EINVAL'],
  ['mremap of a hole', (p) => p.mremap(NOWHERE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), 'EFAULT'],
  ['mremap at an odd address', (p) => p.mremap(A + 1, PAGE, 2 * PAGE, 0), 'EINVAL'],
  ['mremap to nothing', (p) => p.mremap(A, PAGE, 0, MREMAP_MAYMOVE), 'EINVAL'],
  ['mremap with unknown flags', (p) => p.mremap(A, PAGE, PAGE, 8), 'EINVAL'],
  ['mremap fixed without maymove', (p) => p.mremap(A, PAGE, PAGE, MREMAP_FIXED, NOWHERE), 'EINVAL'],
  ['mremap onto itself', (p) => p.mremap(A, 4 * PAGE, 4 * PAGE, 3, A + PAGE), 'EINVAL'],
  ['mremap to an odd address', (p) => p.mremap(A, PAGE, PAGE, 3, NOWHERE + 1), 'EINVAL'],
  ['mremap beyond the address space', (p) => p.mremap(A, PAGE, PAGE, 3, 2 ** 47), 'EINVAL'],
  ['mremap of private memory from 0', (p) => p.mremap(A, 0, PAGE, MREMAP_MAYMOVE), 'EINVAL'],
  [
    'mremap that grows over the end of its area',
    (p) => p.mremap(A, 5 * PAGE, 8 * PAGE, MREMAP_MAYMOVE),
    'EFAULT',
  ],
  [
    'dontunmap of another size',
    (p) => p.mremap(A, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
    'EINVAL',
  ],
  ['mremap without room', (p) => p.mremap(A + 8 * PAGE, PAGE, 3 * PAGE, 0), 'ENOMEM'],
  ['madvise at an odd address', (p) => p.madvise(A + 1, PAGE, MADV_DONTNEED), 'EINVAL'],
  ['unknown advice', (p) => p.madvise(A, PAGE, 77), 'EINVAL'],
  ['advice about a hole', (p) => p.madvise(NOWHERE, PAGE, MADV_DONTNEED), 'ENOMEM'],
  ['advice with a hole inside', (p) => p.madvise(A, 12 * PAGE, MADV_DONTNEED), 'ENOMEM'],
  ['dontneed of locked memory', (p) => p.madvise(A + 2 * GIB, PAGE, MADV_DONTNEED), 'EINVAL'],
  ['free of shared memory', (p) => p.madvise(A + GIB, PAGE, MADV_FREE), 'EINVAL'],
  ['remove of private memory', (p) => p.madvise(A, PAGE, MADV_REMOVE), 'EINVAL'],
  ['populate into a hole', (p) => p.madvise(A, 5 * PAGE, MADV_POPULATE_READ), 'ENOMEM'],
  [
    'populate for writing without the right',
    (p) => p.madvise(A + 8 * PAGE, PAGE, MADV_POPULATE_WRITE),
    'EINVAL',
  ],
  ['guards in locked memory', (p) => p.madvise(A + 2 * GIB, PAGE, MADV_GUARD_INSTALL), 'EINVAL'],
  ['mlock of a hole', (p) => p.mlock(NOWHERE, PAGE), 'ENOMEM'],
  ['mlock into a hole', (p) => p.mlock(A, 5 * PAGE), 'ENOMEM'],
  ['mlock with unknown flags', (p) => p.mlock(A, PAGE, 2), 'EINVAL'],
  ['munlock of a hole', (p) => p.munlock(NOWHERE, PAGE), 'ENOMEM'],
  ['mlockall of nothing', (p) => p.mlockall(0), 'EINVAL'],
  ['mlockall on fault of nothing', (p) => p.mlockall(MCL_ONFAULT), 'EINVAL'],
  ['mlockall with unknown flags', (p) => p.mlockall(MCL_CURRENT | 8), 'EINVAL'],
];

function furnished(): { system: System; process: Process } {
  const { system, process } = start();
  const memory = system.createObject(OBJECT_SHMEM, 4 * PAGE);
  process.mmap(A, 4 * PAGE, RW, FIXED);
  process.mmap(A + 8 * PAGE, 4 * PAGE, PROT_READ, FIXED);
  // What keeps the area at A + 8 pages from growing.
  process.mmap(A + 12 * PAGE, PAGE, PROT_NONE, FIXED);
  process.mmap(A + GIB, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, memory);
  process.mmap(A + 2 * GIB, 4 * PAGE, RW, FIXED);
  assert.equal(process.mlock(A + 2 * GIB, 4 * PAGE), 0);
  return { system, process };
}

for (const [what, call, errno] of REFUSED) {
  test(`refused as the manual says: ${what} is ${errno}`, () => {
    const { process } = furnished();
    const result = call(process);
    assert.equal(result < 0 ? errnoName(-result) : result, errno);
    validateMachine(process.machine);
  });
}

test('what the manual allows though it looks wrong', () => {
  const { process } = furnished();
  assert.equal(process.munmap(NOWHERE, GIB), 0, 'munmap of a hole');
  assert.equal(process.mprotect(A, 0, RW), 0, 'mprotect of nothing');
  assert.equal(process.madvise(A, 0, MADV_DONTNEED), 0, 'advice about nothing');
  assert.equal(process.madvise(A, 1, MADV_DONTNEED), 0, 'a length is rounded up');
  assert.equal(process.mremap(A, PAGE, PAGE, 0), A, 'mremap that changes nothing');
  const again = process.mremap(A + GIB, 0, 4 * PAGE, MREMAP_MAYMOVE);
  assert.ok(again > 0, 'shared memory mapped once more by mremap from 0');
  assert.equal(process.mmap(A, PAGE, RW, FIXED), A, 'fixed replaces');
  assert.equal(process.mlock(A + 1, 1), 0, 'mlock rounds its start down');
});

test('rights: no area, no right, a write without the right', () => {
  const { process } = furnished();
  assert.equal(process.touch(NOWHERE, false), FAULT_SIGSEGV);
  assert.equal(process.touch(A + 8 * PAGE, true), FAULT_SIGSEGV);
  assert.equal(process.touch(A + 8 * PAGE, false), 1);
  assert.equal(process.touch(A + 12 * PAGE, false), FAULT_SIGSEGV);
  assert.equal(process.mprotect(A + 12 * PAGE, PAGE, PROT_WRITE), 0);
  assert.equal(process.touch(A + 12 * PAGE, false), 1, 'who may write may read');
  assert.equal(process.touch(A + 3 * PAGE, true, 2), FAULT_SIGSEGV, 'the second of two');
  expectCounters(process, { rssAnonKiB: 4 + 16 });
});

test('beyond the end of an object is SIGBUS; truncate takes pages from all mappings', () => {
  const { system, process } = start();
  const memory = system.createObject(OBJECT_SHMEM, 8 * PAGE + 1);
  process.mmap(A, 16 * PAGE, RW, MAP_SHARED | MAP_FIXED, memory);
  process.mmap(A + GIB, 16 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, memory);
  assert.equal(process.touch(A, true, 9), 9, 'the page of the last byte is there');
  assert.equal(process.touch(A + 9 * PAGE, true), FAULT_SIGBUS);
  assert.equal(process.touch(A + GIB + 9 * PAGE, false), FAULT_SIGBUS);
  // A private copy goes with the page that it was made of.
  assert.equal(process.touch(A + GIB, true, 9), 9);
  expectCounters(process, { rssShmemKiB: 36, rssAnonKiB: 36 });
  truncateObject(system.machine, memory, 4 * PAGE);
  expectCounters(process, { rssShmemKiB: 16, rssAnonKiB: 16 });
  assert.equal(process.touch(A + 4 * PAGE, false), FAULT_SIGBUS);
  assert.equal(process.touch(A + GIB + 4 * PAGE, true), FAULT_SIGBUS);
  truncateObject(system.machine, memory, 16 * PAGE);
  assert.equal(process.touch(A + 15 * PAGE, true), 1);
  expectCounters(process, { rssShmemKiB: 20 });
});

test('a hole in shared memory takes the pages, but no private copies', () => {
  const { system, process } = start();
  const memory = system.createObject(OBJECT_SHMEM, 8 * PAGE);
  process.mmap(A, 8 * PAGE, RW, MAP_SHARED | MAP_FIXED, memory);
  process.mmap(A + GIB, 8 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, memory);
  process.touch(A, true, 8);
  process.touch(A + GIB, true, 2);
  punchObject(system.machine, memory, 0, 4);
  expectCounters(process, { rssShmemKiB: 16, rssAnonKiB: 8 });
  assert.equal(process.touch(A, false), 1, 'zeros again, not SIGBUS');
});

test('guard: a touch is SIGSEGV until it is removed; what was there is gone', () => {
  const { process } = start();
  process.mmap(A, 8 * PAGE, RW, FIXED);
  process.touch(A, true, 8);
  assert.equal(process.madvise(A + 2 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL), 0);
  expectCounters(process, { rssAnonKiB: 24, presentPages: 6, vmSizeKiB: 32 });
  assert.equal(process.touch(A + 2 * PAGE, false), FAULT_SIGSEGV);
  assert.equal(process.touch(A + 3 * PAGE, true), FAULT_SIGSEGV);
  assert.equal(process.touch(A + 4 * PAGE, true), 0);
  assert.equal(process.madvise(A, 8 * PAGE, MADV_DONTNEED), 0);
  assert.equal(process.touch(A + 2 * PAGE, true), FAULT_SIGSEGV, 'MADV_DONTNEED leaves guards');
  assert.equal(process.madvise(A, 8 * PAGE, MADV_POPULATE_WRITE), -14, 'EFAULT at the guard');
  expectCounters(process, { rssAnonKiB: 8 });
  assert.equal(process.madvise(A, 8 * PAGE, MADV_GUARD_REMOVE), 0);
  assert.equal(process.touch(A, true, 8), 6);
  expectCounters(process, { rssAnonKiB: 32 });
});

test('guards are inherited by fork, and unknown to Linux 6.1', () => {
  const { system, process } = start();
  process.mmap(A, 8 * PAGE, RW, FIXED);
  assert.equal(process.madvise(A, PAGE, MADV_GUARD_INSTALL), 0);
  const child = system.fork(process, 2) as Process;
  assert.equal(child.touch(A, false), FAULT_SIGSEGV);
  assert.equal(child.touch(A + PAGE, true), 1);
  const old = start({ rules: LINUX_6_1 }).process;
  old.mmap(A, 8 * PAGE, RW, FIXED);
  assert.equal(old.madvise(A, PAGE, MADV_GUARD_INSTALL), -22);
});

test('populate and lock fault everything in at once', () => {
  const { process } = start();
  process.mmap(A, 16 * PAGE, RW, FIXED | MAP_POPULATE);
  expectCounters(process, { rssAnonKiB: 64 });
  process.mmap(A + GIB, 16 * PAGE, RW, FIXED);
  assert.equal(process.mlock(A + GIB, 4 * PAGE), 0);
  expectCounters(process, { rssAnonKiB: 80 });
  assert.equal(process.mlockall(MCL_CURRENT), 0);
  expectCounters(process, { rssAnonKiB: 128 });
  assert.equal(process.munlockall(), 0);
  assert.equal(process.madvise(A, 16 * PAGE, MADV_DONTNEED), 0);
  expectCounters(process, { rssAnonKiB: 64 });
});

test('a stack grows down by touch, at most 8 MiB, and keeps 1 MiB from its neighbour', () => {
  const { process } = start();
  const top = A + 64 * MIB;
  process.mmap(top - PAGE, PAGE, RW, FIXED | MAP_GROWSDOWN);
  assert.equal(process.touch(top - 8 * PAGE, true), 1);
  expectCounters(process, { vmSizeKiB: 32 });
  assert.equal(process.touch(top - 8 * MIB, true), 1);
  expectCounters(process, { vmSizeKiB: 8192 });
  assert.equal(process.touch(top - 8 * MIB - PAGE, true), FAULT_SIGSEGV);
  const other = A + 256 * MIB;
  process.mmap(other - PAGE, PAGE, RW, FIXED | MAP_GROWSDOWN);
  process.mmap(other - 2 * MIB, PAGE, RW, FIXED);
  assert.equal(process.touch(other - MIB, true), FAULT_SIGSEGV);
  assert.equal(process.touch(other - MIB + PAGE, true), 1);
});
