import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import {
  Errno,
  MADV_COLD,
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import { FAULT_SIGSEGV } from '../../src/engine/fault/fault-codes.ts';
import { TOY_GEOMETRY, X86_64_5LEVEL } from '../../src/engine/geometry.ts';
import {
  MshareFs,
  MshareHandle,
  mshareCounters,
  O_CREAT,
  O_EXCL,
  OBJECT_FILE,
  type Process,
  regionAlignmentPages,
  regionHost,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import type { MshareFile } from '../../src/engine/mechanisms/mshare/posted.ts';
import { vmPteTables } from '../../src/engine/space/mm.ts';

const GIB = 2 ** 30;
/** P4D_SIZE of x86-64. */
const ALIGN = 512 * GIB;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS;
const A = 0x100000000000;
const B = 0x200000000000;

function machine(hasContents = false): System {
  return new System({ nodeBytes: [256 * 2 ** 20], hasContents, bufferMiB: 64 });
}

function file(fs: MshareFs, process: Process, path = 'sga'): MshareFile {
  const opened = fs.open(process, path, O_CREAT);
  assert.ok(typeof opened !== 'number');
  return opened;
}

/** A region of 512 GiB with 4 MiB of anonymous memory at 1 GiB. */
function withMemory(system: System): { owner: Process; fs: MshareFs; region: MshareFile } {
  const owner = system.spawn(1);
  const fs = new MshareFs(system);
  const region = file(fs, owner);
  assert.equal(region.ftruncate(ALIGN), 0);
  const what = { regionOffset: GIB, size: 4 * 2 ** 20, offset: 0, prot: RW, object: 0 };
  assert.equal(region.createMapping({ ...what, flags: ANON }), 0);
  return { owner, fs, region };
}

const attach = (p: Process, r: MshareFile, at: number): number =>
  p.mmap(at, ALIGN, RW, MAP_SHARED | MAP_FIXED, r.region);

describe('mshare', () => {
  it('a first touch fills and then links, other sharers link once, and only once for 512 GiB', () => {
    const system = machine();
    const { owner, region } = withMemory(system);
    const other = system.spawn(2);
    assert.equal(attach(owner, region, A), A);
    assert.equal(attach(other, region, B), B);
    // Two entries below the top that agree on "none": the host's fault; then the link.
    assert.equal(owner.touch(A + GIB, true), 2);
    assert.equal(owner.touch(A + GIB, true), 0);
    assert.equal(owner.touch(A + GIB + 4096, true), 1);
    // Both pages are there already: nothing but the link.
    assert.equal(other.touch(B + GIB, true), 1);
    assert.equal(other.touch(B + GIB + 4096, false), 0);
    assert.equal(other.touch(B + GIB + 8192, true), 1);
    const { machine: m } = system;
    const host = regionHost(m, region.region);
    // The tables are the host's; sharers have their top table alone.
    assert.equal(vmPteTables(m, host), 3);
    assert.equal(vmPteTables(m, owner.mm), 0);
    assert.equal(vmPteTables(m, other.mm), 0);
    assert.equal(owner.counters().rssShmemKiB, 0);
    const counted = mshareCounters(m);
    assert.equal(counted['hostRssKiB'], 12);
    assert.equal(counted['links'], 2);
    assert.equal(counted['linkFaults'], 2);
    assert.equal(counted['hostFaults'], 3);
    validateMachine(m);
  });

  it('all sharers see one memory, wherever they map it', () => {
    const system = machine(true);
    const { owner, region } = withMemory(system);
    const other = system.spawn(2);
    attach(owner, region, A);
    attach(other, region, B);
    const { machine: m } = system;
    const at = (base: number, page: number): number => (base + GIB) / 4096 + page;
    assert.equal(storePage(m, owner.mm, at(A, 3), 77), 0);
    assert.equal(loadPage(m, other.mm, at(B, 3)), 77);
    assert.equal(storePage(m, other.mm, at(B, 3), 78), 77);
    assert.equal(loadPage(m, owner.mm, at(A, 3)), 78);
    validateMachine(m);
  });

  it('unmapping and rights are for all; one who leaves takes nothing away', () => {
    const system = machine();
    const { owner, region } = withMemory(system);
    const other = system.spawn(2);
    attach(owner, region, A);
    attach(other, region, B);
    owner.touch(A + GIB, true, 4);
    other.touch(B + GIB, true);
    assert.equal(other.munmap(B, ALIGN), 0);
    assert.equal(owner.touch(A + GIB, true, 4), 0);
    assert.equal(other.touch(B + GIB, true), FAULT_SIGSEGV);
    attach(other, region, B);
    other.touch(B + GIB, true);
    assert.equal(region.unmap(GIB, 4096), 0);
    assert.equal(owner.touch(A + GIB, true), FAULT_SIGSEGV);
    assert.equal(other.touch(B + GIB, false), FAULT_SIGSEGV);
    assert.equal(other.touch(B + GIB + 4096, true), 0);
    // All of it: the tables that windows lead to stay while they do.
    assert.equal(region.unmap(0, ALIGN), 0);
    assert.equal(other.touch(B + GIB + 4096, true), FAULT_SIGSEGV);
    const { machine: m } = system;
    assert.equal(vmPteTables(m, regionHost(m, region.region)), 1);
    validateMachine(m);
    owner.munmap(A, ALIGN);
    other.munmap(B, ALIGN);
    validateMachine(m);
    // As posted every processor is told, each time.
    assert.equal(mshareCounters(m)['flushes'], 2);
    assert.equal(mshareCounters(m)['flushedCpus'], 2);
    assert.equal(mshareCounters(m)['flushedSpaces'], 4);
  });

  it('refuses what the posting refuses', () => {
    const system = machine();
    const owner = system.spawn(1);
    const fs = new MshareFs(system);
    assert.equal(fs.readInfo(), `${ALIGN}\n`);
    const region = file(fs, owner);
    const map = { regionOffset: 0, size: 4096, offset: 0, prot: RW, flags: ANON, object: 0 };
    assert.equal(attach(owner, region, A), -Errno.EINVAL); // no size yet
    assert.equal(region.createMapping(map), -Errno.EINVAL);
    assert.equal(region.ftruncate(0), -Errno.EINVAL);
    assert.equal(region.ftruncate(GIB), -Errno.EINVAL);
    assert.equal(region.fallocate(1, 0, ALIGN), -Errno.EOPNOTSUPP);
    assert.equal(region.fallocate(0, 4096, ALIGN), -Errno.EINVAL);
    assert.equal(region.fallocate(0, 0, ALIGN), 0);
    assert.equal(region.size, ALIGN);
    assert.equal(region.ftruncate(2 * ALIGN), -Errno.EINVAL); // once only
    assert.equal(region.createMapping({ ...map, regionOffset: ALIGN - 4096, size: 8192 }), -22);
    assert.equal(region.createMapping({ ...map, regionOffset: 100 }), -Errno.EINVAL);
    assert.equal(region.createMapping({ ...map, flags: MAP_SHARED | MAP_ANONYMOUS }), -22);
    const isPrivate = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS;
    assert.equal(region.createMapping({ ...map, flags: isPrivate }), -Errno.EINVAL);
    const other = file(fs, owner, 'other');
    const inside = { ...map, flags: MAP_SHARED | MAP_FIXED, object: other.region };
    assert.equal(region.createMapping(inside), -Errno.EINVAL);
    assert.equal(region.unmap(ALIGN, 4096), -Errno.EINVAL);
    const shared = MAP_SHARED | MAP_FIXED;
    assert.equal(owner.mmap(A, GIB, RW, shared, region.region), -Errno.EINVAL); // not all of it
    assert.equal(owner.mmap(A + GIB, ALIGN, RW, shared, region.region), -Errno.EINVAL);
    assert.equal(owner.mmap(A, ALIGN, RW, MAP_PRIVATE | MAP_FIXED, region.region), -Errno.EINVAL);
    const chosen = owner.mmap(0, ALIGN, RW, MAP_SHARED, region.region);
    assert.ok(chosen > 0 && chosen % ALIGN === 0);
    assert.equal(owner.munmap(chosen, GIB), -Errno.EINVAL); // whole or not at all
    assert.equal(owner.munmap(chosen + GIB, GIB), -Errno.EINVAL);
    assert.equal(owner.mprotect(chosen, ALIGN, PROT_READ), -Errno.EINVAL);
    assert.equal(owner.madvise(chosen, ALIGN, MADV_DONTNEED), -Errno.EINVAL);
    assert.equal(owner.mremap(chosen, ALIGN, 2 * ALIGN, MREMAP_MAYMOVE), -Errno.EFAULT);
    assert.equal(owner.touch(chosen, true), FAULT_SIGSEGV); // nothing is mapped there
    validateMachine(system.machine);
  });

  it('is a file system: names, links, directories, mode bits', () => {
    const system = machine();
    const owner = system.spawn(1);
    const fs = new MshareFs(system);
    const user = { uid: 7, gid: 7 };
    file(fs, owner).close();
    assert.equal(fs.open(owner, 'sga', O_CREAT | O_EXCL), -Errno.EEXIST);
    assert.equal(fs.open(owner, 'sga', 2, 0, user), -Errno.EACCES);
    assert.equal(fs.open(owner, 'none', 0), -Errno.ENOENT);
    assert.equal(fs.open(owner, 'none/sga', O_CREAT), -Errno.ENOENT);
    assert.equal(fs.mkdir('db'), 0);
    assert.equal(fs.mkdir('db'), -Errno.EEXIST);
    assert.equal(fs.link('sga', 'db/sga'), 0);
    assert.equal(fs.rename('sga', 'sga2'), 0);
    assert.equal(fs.rename('sga2', 'mshare_info'), -Errno.EPERM);
    assert.equal(fs.unlink('mshare_info'), -Errno.EPERM);
    assert.equal(fs.unlink('sga2'), 0);
    const again = fs.open(owner, 'db/sga', 2);
    assert.ok(typeof again !== 'number');
    assert.equal(fs.unlink('db/sga'), 0);
    // Open, so the region lives on without a name.
    assert.equal(again.ftruncate(ALIGN), 0);
    again.close();
    assert.equal(mshareCounters(system.machine)['regions'], 0);
    assert.ok(typeof fs.open(owner, 'mine', O_CREAT, 0o600, user) !== 'number');
    validateMachine(system.machine);
  });

  it('the owner ends: nothing maps any more, sharers get SIGSEGV, the tables go with the last', () => {
    const system = machine();
    const { owner, region } = withMemory(system);
    const other = system.spawn(2);
    attach(owner, region, A);
    attach(other, region, B);
    owner.touch(A + GIB, true, 512);
    other.touch(B + GIB, true, 512);
    system.exec(owner);
    // exec is not the end of the task.
    assert.equal(other.touch(B + GIB, true, 512), 0);
    system.exit(owner);
    assert.equal(other.touch(B + GIB, true), FAULT_SIGSEGV);
    const again = { regionOffset: 0, size: 4096, offset: 0, prot: RW, flags: ANON, object: 0 };
    assert.equal(region.createMapping(again), -Errno.EINVAL);
    assert.equal(attach(other, region, A), -Errno.EINVAL);
    validateMachine(system.machine);
    system.exit(other);
    assert.equal(mshareCounters(system.machine)['links'], 0);
    validateMachine(system.machine);
  });

  it('fork copies the window and no table, the child links for itself', () => {
    const system = machine();
    const { owner, region } = withMemory(system);
    attach(owner, region, A);
    owner.touch(A + GIB, true);
    const child = system.fork(owner, 2);
    assert.ok(child !== undefined);
    assert.equal(mshareCounters(system.machine)['links'], 1);
    assert.equal(child.touch(A + GIB, true), 1);
    validateMachine(system.machine);
    system.exit(child);
    validateMachine(system.machine);
  });

  it('files lie in a region as anonymous memory does, and are unmapped by truncation for all', () => {
    const system = machine();
    const owner = system.spawn(1);
    const other = system.spawn(2);
    const region = file(new MshareFs(system), owner);
    region.ftruncate(ALIGN);
    const object = system.createObject(OBJECT_FILE, 2 ** 21);
    const flags = MAP_SHARED | MAP_FIXED;
    const what = { regionOffset: 0, size: 2 ** 21, offset: 0, prot: PROT_READ, flags, object };
    assert.equal(region.createMapping(what), 0);
    attach(owner, region, A);
    attach(other, region, B);
    assert.ok(owner.touch(A, false) > 0);
    // The host's area says what is allowed, not the window's.
    assert.equal(owner.touch(A, true), FAULT_SIGSEGV);
    assert.equal(other.touch(B, false), 1);
    system.closeObject(object);
    validateMachine(system.machine);
  });

  it('whoever lost an entry or a right is told, whichever call took it', () => {
    const system = machine();
    const owner = system.spawn(1);
    const handle = MshareHandle.create(system, owner);
    assert.ok(typeof handle !== 'number');
    handle.ftruncate(ALIGN);
    const flushes = (): number => mshareCounters(system.machine)['flushes'] as number;
    handle.map(0, 8192, RW, MAP_ANONYMOUS);
    assert.equal(flushes(), 0);
    // In the place of what was mapped.
    handle.map(4096, 4096, RW, MAP_ANONYMOUS);
    assert.equal(flushes(), 1);
    // A hole makes it ENOMEM, and what lies before it has changed.
    assert.equal(handle.protect(0, 16384, PROT_READ), -Errno.ENOMEM);
    assert.equal(handle.advise(0, 16384, MADV_DONTNEED), -Errno.ENOMEM);
    assert.equal(handle.advise(0, 8192, MADV_REMOVE), 0);
    assert.equal(handle.advise(0, 8192, MADV_PAGEOUT), 0);
    assert.equal(flushes(), 5);
    assert.equal(handle.advise(0, 8192, MADV_COLD), 0);
    assert.equal(handle.protect(ALIGN, 4096, PROT_READ), -Errno.EINVAL);
    assert.equal(flushes(), 5);
    validateMachine(system.machine);
  });

  it('the announced calls: parts of a region, advice, rights, the end by close', () => {
    const system = machine();
    const owner = system.spawn(1);
    const other = system.spawn(2);
    const handle = MshareHandle.create(system, owner);
    assert.ok(typeof handle !== 'number');
    assert.equal(handle.ftruncate(2 * ALIGN), 0);
    assert.equal(handle.map(ALIGN, 2 ** 21, RW, MAP_ANONYMOUS), 0);
    assert.equal(handle.attach(other, ALIGN, ALIGN, B), B);
    assert.equal(handle.attach(other, GIB, ALIGN, A), -Errno.EINVAL);
    const found = handle.attach(owner, 0, 2 * ALIGN);
    assert.equal(found % ALIGN, 0);
    assert.equal(owner.touch(found + ALIGN, true, 4), 5);
    assert.equal(other.touch(B, true, 4), 1);
    assert.equal(handle.advise(ALIGN, 2 ** 21, MADV_DONTNEED), 0);
    // Shared memory keeps its pages: they are mapped again.
    assert.equal(other.touch(B, true, 4), 4);
    assert.equal(handle.protect(ALIGN, 4096, PROT_READ), 0);
    assert.equal(owner.touch(found + ALIGN, true), FAULT_SIGSEGV);
    validateMachine(system.machine);
    handle.close(other);
    assert.equal(owner.touch(found + ALIGN, false), 0);
    handle.close(owner);
    assert.equal(owner.touch(found + ALIGN, false), FAULT_SIGSEGV);
    assert.equal(handle.map(0, 4096, RW, MAP_ANONYMOUS), -Errno.EBADF);
    system.exit(owner);
    system.exit(other);
    validateMachine(system.machine);
    assert.equal(mshareCounters(system.machine)['regions'], 0);
  });

  it('links one level below the top with five levels, at the top with three', () => {
    for (const geometry of [X86_64_5LEVEL, TOY_GEOMETRY]) {
      const system = new System({ geometry, nodeBytes: [64 * 2 ** 20], bufferMiB: 64 });
      const { machine: m } = system;
      const align = regionAlignmentPages(m) * 4096;
      const owner = system.spawn(1);
      const other = system.spawn(2);
      const handle = MshareHandle.create(system, owner);
      assert.ok(typeof handle !== 'number');
      assert.equal(handle.ftruncate(align), 0);
      assert.equal(handle.map(0, 8 * 4096, RW, MAP_ANONYMOUS), 0);
      assert.equal(handle.attach(owner, 0, align, 2 * align), 2 * align);
      assert.equal(handle.attach(other, 0, align, 3 * align), 3 * align);
      assert.equal(owner.touch(2 * align, true, 4), 5);
      assert.equal(other.touch(3 * align, true, 8), 5);
      validateMachine(m);
      // The host is emptied while windows lead to its table: that stays, and what is above it.
      system.exit(owner);
      validateMachine(m);
      assert.equal(other.touch(3 * align, true), FAULT_SIGSEGV);
      system.exit(other);
      validateMachine(m);
      assert.equal(mshareCounters(m)['regions'], 0);
    }
  });
});
