import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/base/index.ts';
import {
  cgroupUsage,
  FAULT_OOM,
  type Process,
  System,
  tableReclaim,
  tableReclaimAged,
  validateMachine,
} from '../../src/engine/index.ts';

/** Memory cgroups by hand: limits are kept by reclaim or by a kill inside, and nowhere else. */
const PAGE = 4096;
const MIB = 2 ** 20;
const SLOT = 2 * MIB;
const AT = 0x7f0000000000;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;

function spawn(system: System, pid: number, cgroup: number): Process {
  const process = system.spawn(pid, cgroup);
  assert.equal(process.mmap(AT, 64 * 2 ** 30, PROT_READ | PROT_WRITE, ANON), AT);
  return process;
}

test('a process that wants more than its cgroup may have is killed; others are not', () => {
  const system = new System({ nodeBytes: [256 * MIB], bufferMiB: 64 });
  const outside = spawn(system, 1, 0);
  assert.equal(outside.touch(AT, true, 5000), 5000);
  const cgroup = system.createCgroup(1000 * PAGE);
  const inside = spawn(system, 2, cgroup);
  // 900 pages, two PTE tables, PMD, PUD and PGD table.
  assert.equal(inside.touch(AT, true, 900), 900);
  assert.equal(cgroupUsage(system.machine, cgroup), 905);
  assert.equal(inside.touch(AT + 900 * PAGE, true, 200), FAULT_OOM);
  assert.deepEqual(system.oomKilled, [2]);
  assert.equal(cgroupUsage(system.machine, cgroup), 0);
  assert.ok(outside.isAlive);
  validateMachine(system.machine);
});

test('with swap the limit is kept after every touch, and nobody is killed', () => {
  const system = new System({ nodeBytes: [256 * MIB], swapBytes: 64 * MIB, bufferMiB: 64 });
  const cgroup = system.createCgroup(1000 * PAGE);
  const outside = spawn(system, 1, 0);
  assert.equal(outside.touch(AT, true, 5000), 5000);
  const inside = spawn(system, 2, cgroup);
  for (let page = 0; page < 4000; page += 100) {
    assert.ok(inside.touch(AT + page * PAGE, true, 100) >= 0);
    assert.ok(cgroupUsage(system.machine, cgroup) <= 1000);
  }
  assert.equal(inside.counters().rssAnonKiB / 4 + inside.counters().swappedPages, 4000);
  assert.equal(outside.counters().swappedPages, 0, 'memory outside is left alone');
  assert.deepEqual(system.oomKilled, []);
  validateMachine(system.machine);
});

test("a fork's child is charged to its parent's cgroup, as is a new image", () => {
  const system = new System({ nodeBytes: [256 * MIB], bufferMiB: 64 });
  const cgroup = system.createCgroup(1000 * PAGE);
  const parent = spawn(system, 1, cgroup);
  assert.equal(parent.touch(AT, true, 100), 100);
  const child = system.fork(parent, 2) as Process;
  assert.equal(cgroupUsage(system.machine, cgroup), 2 * (100 + 4));
  system.exec(child);
  assert.equal(cgroupUsage(system.machine, cgroup), 104 + 1);
  system.exit(parent);
  assert.equal(cgroupUsage(system.machine, cgroup), 1);
});

for (const mechanism of [undefined, tableReclaim, tableReclaimAged]) {
  test(`sparse memory in a cgroup without swap: ${mechanism?.id ?? 'no mechanism'}`, () => {
    const system = new System({ nodeBytes: [256 * MIB], bufferMiB: 64 });
    mechanism?.attach(system.machine, 1);
    const other = spawn(system, 9, system.createCgroup(100 * MIB));
    assert.equal(other.touch(AT, true, 500, SLOT), 500);
    const cgroup = system.createCgroup(6000 * PAGE);
    const process = spawn(system, 1, cgroup);
    // 4000 pages want 4000 tables: too much by 2000, unless tables give way.
    const result = process.touch(AT, true, 4000, SLOT);
    validateMachine(system.machine);
    if (mechanism === undefined) {
      assert.equal(result, FAULT_OOM);
      assert.deepEqual(system.oomKilled, [1]);
      return;
    }
    assert.equal(result, 4000);
    assert.deepEqual(system.oomKilled, []);
    assert.ok(cgroupUsage(system.machine, cgroup) <= 6000);
    assert.equal(process.counters().rssAnonKiB, 4000 * 4, 'every page is there');
    assert.equal(process.touch(AT, false, 4000, SLOT), 0, 'and mapped: no fault but for tables');
    assert.equal(other.counters().pteTables, 500, "another cgroup's tables are left alone");
    system.exit(process);
    validateMachine(system.machine);
  });
}
