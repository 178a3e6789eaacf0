import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import { Errno } from '../../src/base/index.ts';
import { loadPage, storePage } from '../../src/engine/fault/access.ts';
import { FAULT_SIGSEGV } from '../../src/engine/fault/fault-codes.ts';
import {
  attachMorsels,
  COUNT_KINDS,
  Morsel,
  morselCounters,
  type Process,
  System,
  validateMachine,
} from '../../src/engine/index.ts';
import { vmPteTables } from '../../src/engine/space/mm.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const A = 0x100000000000;
const B = 0x200000000000;

function machine(hasContents = false, nodeMiB = 256): System {
  return new System({ nodeBytes: [nodeMiB * MIB], hasContents, bufferMiB: 128 });
}

function make(system: System, span: '2M' | '1G' | '512G', page: '4K' | '2M' | '1G' = '4K'): Morsel {
  const morsel = Morsel.create(system, span, page);
  assert.ok(typeof morsel !== 'number');
  return morsel;
}

function ok(morsel: Morsel | number): Morsel {
  assert.ok(typeof morsel !== 'number', `${morsel}`);
  return morsel;
}

const counters = (system: System): Record<string, number> => morselCounters(system.machine);

describe('Morsels', () => {
  it('map is one entry for every span; the tables above it are the address space`s own', () => {
    const system = machine();
    const cases = [
      { span: '2M', own: 2, addr: A + 2 * MIB },
      { span: '1G', own: 1, addr: A + GIB },
      { span: '512G', own: 0, addr: A },
    ] as const;
    for (const { span, own, addr } of cases) {
      const process = system.spawn(1);
      const morsel = make(system, span);
      assert.equal(morsel.map(process, addr), addr);
      // PUD and PMD tables that lead there, none of the object's.
      assert.equal(vmPteTables(system.machine, process.mm), own, span);
      assert.equal(counters(system)['links'], 1);
      assert.equal(morsel.map(process, addr + 4096), -Errno.EINVAL);
      assert.equal(process.munmap(addr, morsel.spanBytes / 2), -Errno.EINVAL);
      assert.equal(morsel.unmap(process, addr), 0);
      assert.equal(vmPteTables(system.machine, process.mm), 0, span);
      morsel.close();
      system.exit(process);
      validateMachine(system.machine);
    }
    assert.equal(counters(system)['tables'], 0);
  });

  it('mapped by two, it is one memory and one set of tables', () => {
    const system = machine(true);
    const one = system.spawn(1);
    const two = system.spawn(2);
    const morsel = make(system, '1G');
    morsel.map(one, A);
    morsel.map(two, B);
    const { machine: m } = system;
    assert.equal(storePage(m, one.mm, A / 4096 + 700, 5), 0);
    assert.equal(loadPage(m, two.mm, B / 4096 + 700), 5);
    // The root, and one table of 512 pages.
    assert.equal(counters(system)['tables'], 2);
    assert.equal(counters(system)['pages'], 1);
    assert.equal(one.counters().rssAnonKiB, 0);
    validateMachine(m);
  });

  it('a clone is one count; a write splits the path level by level and then the page', () => {
    const system = machine(true);
    const process = system.spawn(1);
    const base = make(system, '512G');
    base.map(process, A);
    // 3 GiB and 5 tables: two in the first GiB, one in each of the next.
    for (const at of [0, 2 * MIB, GIB, 2 * GIB]) assert.equal(process.fill(A + at, 9, 4), 4);
    const before = counters(system);
    assert.equal(before['tables'], 1 + 3 + 4);
    assert.equal(before['pages'], 16);
    const copy = ok(base.clone());
    copy.map(process, B);
    assert.equal(counters(system)['shareCounts'], 1);
    assert.equal(counters(system)['tables'], before['tables']);
    assert.equal(storePage(system.machine, process.mm, B / 4096 + 1, 7), 9);
    const after = counters(system);
    // Root, the first GiB's table, its first table; then the page.
    assert.equal(after['tableCopies'], 3);
    assert.equal(after['pageCopies'], 1);
    // 3 + 2 + 4 entries, each with one more that leads to the same.
    assert.equal(after['entriesCopied'], 9);
    assert.equal(after['countsChanged'], 9);
    // Still shared: 2 upper tables, 1 last-level table, 3 pages; the page and tables on the path are not.
    assert.equal(after['shareCounts'], 2 + 1 + 3);
    assert.equal(loadPage(system.machine, process.mm, A / 4096 + 1), 9);
    validateMachine(system.machine);
    // The other side takes over what is its own alone by now: root, table, table, page.
    assert.equal(storePage(system.machine, process.mm, A / 4096 + 1, 8), 9);
    assert.equal(counters(system)['tableCopies'], 3);
    assert.equal(counters(system)['pageCopies'], 1);
    assert.equal(counters(system)['takeOvers'], 3);
    assert.equal(loadPage(system.machine, process.mm, B / 4096 + 1), 7);
    copy.close();
    process.munmap(B, 512 * GIB);
    assert.equal(counters(system)['shareCounts'], 0);
    assert.equal(counters(system)['pages'], 16);
    validateMachine(system.machine);
  });

  it('a full table is copied as one run: 512 counts in one batch', () => {
    const system = machine();
    const process = system.spawn(1);
    const base = make(system, '1G');
    base.map(process, A);
    assert.equal(process.touch(A, true, 1024), 1024);
    const copy = ok(base.clone());
    copy.map(process, B);
    // Root of two entries, table of 512; the page.
    assert.equal(process.touch(B + 5 * 4096, true), 1);
    const after = counters(system);
    assert.equal(after['countsChanged'], 2 + 512);
    assert.equal(after['pages'], 1025);
    validateMachine(system.machine);
    base.close();
    copy.close();
    system.exit(process);
    assert.equal(counters(system)['pages'], 0);
    validateMachine(system.machine);
  });

  it('clones of clones, in any order of end', () => {
    const system = machine(true);
    const { machine: m } = system;
    const process = system.spawn(1);
    const base = make(system, '2M');
    const at = (i: number): number => A + i * 2 * MIB;
    base.map(process, at(0));
    process.fill(at(0), 1, 8);
    const all = [base];
    for (let i = 1; i < 6; i++) {
      const copy = ok((all[i - 1] as Morsel).clone());
      copy.map(process, at(i));
      storePage(m, process.mm, at(i) / 4096 + i, 100 + i);
      all.push(copy);
    }
    for (let i = 0; i < 6; i++) {
      for (let page = 0; page < 8; page++) {
        const expected = page >= 1 && page <= i ? 100 + page : 1;
        assert.equal(loadPage(m, process.mm, at(i) / 4096 + page), expected);
      }
    }
    validateMachine(m);
    for (const i of [3, 0, 5, 1, 4, 2]) {
      process.munmap(at(i), 2 * MIB);
      (all[i] as Morsel).close();
      validateMachine(m);
    }
    assert.equal(counters(system)['tables'], 0);
    assert.equal(counters(system)['shareCounts'], 0);
  });

  it('a frozen base is read only, its child needs no counts and keeps it alive', () => {
    const system = machine(true);
    const { machine: m } = system;
    const process = system.spawn(1);
    const base = make(system, '1G');
    base.map(process, A);
    process.fill(A, 3, 8);
    assert.equal(base.split(), -Errno.EINVAL);
    assert.equal(base.freeze(), 0);
    assert.equal(storePage(m, process.mm, A / 4096, 4), FAULT_SIGSEGV);
    const child = ok(base.split());
    assert.equal(child.split(), -Errno.EINVAL);
    assert.equal(child.clone(), -Errno.EINVAL);
    child.map(process, B);
    assert.equal(storePage(m, process.mm, B / 4096, 4), 3);
    assert.equal(counters(system)['countsChanged'], 0);
    assert.equal(counters(system)['shareCounts'], 0);
    process.munmap(A, GIB);
    base.close();
    assert.equal(loadPage(m, process.mm, B / 4096 + 1), 3);
    validateMachine(m);
    child.close();
    process.munmap(B, GIB);
    assert.equal(counters(system)['tables'], 0);
    validateMachine(m);
  });

  it('parts: split off, clone, embed, windows onto one table', () => {
    const system = machine(true);
    const { machine: m } = system;
    const process = system.spawn(1);
    const whole = make(system, '1G');
    whole.map(process, A);
    process.fill(A + 4 * MIB, 6, 2);
    // A window onto the third table alone.
    assert.equal(whole.map(process, B, 4 * MIB, 2 * MIB), B);
    assert.equal(loadPage(m, process.mm, B / 4096 + 1), 6);
    assert.equal(storePage(m, process.mm, B / 4096 + 1, 7), 6);
    assert.equal(loadPage(m, process.mm, A / 4096 + 1025), 7);
    assert.equal(whole.splitOff(4 * MIB, '2M'), -Errno.EBUSY);
    const copy = ok(whole.clonePart(4 * MIB, '2M'));
    // The write goes to a table of its own, and both windows go there.
    assert.equal(storePage(m, process.mm, A / 4096 + 1025, 8), 7);
    assert.equal(loadPage(m, process.mm, B / 4096 + 1), 8);
    process.munmap(B, 2 * MIB);
    const part = ok(whole.splitOff(4 * MIB, '2M'));
    assert.equal(loadPage(m, process.mm, A / 4096 + 1025), 0);
    part.map(process, B);
    assert.equal(loadPage(m, process.mm, B / 4096 + 1), 8);
    assert.equal(whole.embed(6 * MIB, part), -Errno.EBUSY);
    process.munmap(B, 2 * MIB);
    assert.equal(whole.embed(4 * MIB, part), -Errno.EEXIST); // the read made a table there
    assert.equal(whole.embed(6 * MIB, part), 0);
    assert.equal(loadPage(m, process.mm, A / 4096 + 1537), 8);
    assert.equal(whole.embed(8 * MIB, copy), 0);
    assert.equal(loadPage(m, process.mm, A / 4096 + 2049), 7);
    validateMachine(m);
  });

  it('pages of 2 MiB and 1 GiB: whole ones are copied', () => {
    const system = machine(true, 3072);
    const { machine: m } = system;
    const process = system.spawn(1);
    assert.equal(Morsel.create(system, '2M', '2M'), -Errno.EINVAL);
    const base = make(system, '1G', '2M');
    base.map(process, A);
    assert.equal(process.fill(A + 4096, 5), 1);
    assert.equal(process.fill(A + 2 * 4096, 6), 0);
    assert.equal(counters(system)['pages'], 512);
    const copy = ok(base.clone());
    copy.map(process, B);
    assert.equal(storePage(m, process.mm, B / 4096 + 1, 7), 5);
    assert.equal(counters(system)['pages'], 1024);
    assert.equal(loadPage(m, process.mm, B / 4096 + 2), 6);
    assert.equal(loadPage(m, process.mm, A / 4096 + 1), 5);
    const large = make(system, '512G', '1G');
    const at = 0x300000000000;
    large.map(process, at);
    assert.equal(process.touch(at + GIB, true), 1);
    assert.equal(process.touch(at + 2 * GIB - 4096, true), 0);
    assert.equal(counters(system)['pages'], 1024 + 2 ** 18);
    validateMachine(m);
    for (const morsel of [base, copy, large]) morsel.close();
    system.exit(process);
    assert.equal(counters(system)['pages'], 0);
    validateMachine(m);
  });

  it('send takes it from one address space to another; fork maps it in both', () => {
    const system = machine(true);
    const { machine: m } = system;
    const from = system.spawn(1);
    const to = system.spawn(2);
    const morsel = make(system, '2M');
    morsel.map(from, A);
    from.fill(A, 4, 512);
    assert.equal(morsel.send(from, A, to, B), B);
    assert.equal(from.touch(A, false), FAULT_SIGSEGV);
    assert.equal(loadPage(m, to.mm, B / 4096 + 511), 4);
    const child = system.fork(to, 3) as Process;
    assert.equal(child.touch(B, true), 0);
    assert.equal(storePage(m, child.mm, B / 4096, 5), 4);
    assert.equal(loadPage(m, to.mm, B / 4096), 5);
    validateMachine(m);
    assert.equal(counters(system)['links'], 2);
    system.exit(child);
    validateMachine(m);
  });

  it('works with every table of share counts', () => {
    for (const kind of COUNT_KINDS) {
      const system = machine(true);
      attachMorsels(system.machine, kind);
      const process = system.spawn(1);
      const base = make(system, '1G');
      base.map(process, A);
      process.fill(A, 2, 600);
      const copies = [1, 2, 3].map(() => ok(base.clone()));
      for (const [i, copy] of copies.entries()) {
        copy.map(process, B + i * GIB);
        process.fill(B + i * GIB + 4096, 10 + i, 20);
      }
      validateMachine(system.machine);
      for (const copy of copies) copy.close();
      base.close();
      system.exit(process);
      validateMachine(system.machine);
      assert.equal(counters(system)['shareCounts'], 0, kind.name);
    }
  });

  it('without memory a fault says so, and what was there stays', () => {
    const system = machine(false, 16);
    const process = system.spawn(1);
    const base = make(system, '1G');
    base.map(process, A);
    const result = process.touch(A, true, 262144);
    assert.ok(result < 0);
    validateMachine(system.machine);
    base.close();
  });
});
