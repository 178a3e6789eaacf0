import { assert } from '../base/index.ts';
import { CG_MAX_EVENTS, CG_OOM_KILLS, cgroupCreate, cgroupExcess } from './cgroup/cgroup.ts';
import { type Counters, countersOf } from './counters.ts';
import { FAULT_OOM } from './fault/fault-codes.ts';
import { fillPage } from './fault/fill.ts';
import { touchRange } from './fault/touch.ts';
import { makeRoom } from './frames/make-room.ts';
import { setThpDisable } from './huge/thp-disable.ts';
import { createHugetlbFile } from './hugetlb/file.ts';
import { attachHugetlb } from './hugetlb/window-ops.ts';
import { attachKsm } from './ksm/ksm.ts';
import { Machine, type MachineOptions } from './machine.ts';
import { objectCreate, objectPut } from './objects/object.ts';
import { chooseVictim, type OomKill, oomKillOf, reapVictim } from './reclaim/oom.ts';
import { attachReclaim, Reclaimer } from './reclaim/reclaim.ts';
import { brk, setStartBrk } from './space/brk.ts';
import { exitMm } from './space/exit.ts';
import { forkMm } from './space/fork.ts';
import { changesAreas, madvise } from './space/madvise.ts';
import { mlock, mlockall, munlock, munlockall } from './space/mlock.ts';
import {
  MM_CGROUP,
  MM_IS_REAPED,
  MM_PID,
  MM_START_BRK,
  MM_THP_DISABLE,
  MM_USERS,
  mmCreate,
  mmDouble,
} from './space/mm.ts';
import { mmap, munmap } from './space/mmap.ts';
import { mmapReadLock, mmapReadUnlock, mmapWriteLock, mmapWriteUnlock } from './space/mmap-lock.ts';
import { mprotect } from './space/mprotect.ts';
import { mremap } from './space/mremap.ts';
import { isHuge } from './tables/huge-entry.ts';
import { leafWord } from './tables/walk.ts';
import { enter, leave, resumeWorld, stopWorld } from './threads/world.ts';

/** Kills whose circumstances are kept. */
const OOM_KILLS_TOLD = 16;
/** Pages that Linux charges ahead for a cpu (MEMCG_CHARGE_BATCH, include/linux/memcontrol.h). */
const CHARGE_BATCH = 64;

/**
 * A machine with processes: what a program sees of the engine. Addresses and lengths are bytes;
 * results are as system calls give them, a negative number being an errno.
 */
export class System {
  readonly machine: Machine;
  readonly #processes = new Map<number, Process>();
  readonly #reclaimers = new Map<number, Reclaimer>();
  /** Processes that the OOM killer ended, in order. */
  readonly oomKilled: number[] = [];
  /** What is said of the first of them (oom_kill_process, dump_header). */
  readonly oomKills: OomKill[] = [];

  constructor(machineOrOptions: Machine | MachineOptions = {}) {
    this.machine =
      machineOrOptions instanceof Machine ? machineOrOptions : Machine.create(machineOrOptions);
    attachReclaim(this.machine);
    const isMachine = machineOrOptions instanceof Machine;
    attachHugetlb(this.machine, isMachine ? {} : machineOrOptions);
    if (!isMachine && machineOrOptions.ksm !== undefined)
      attachKsm(this.machine, machineOrOptions.ksm);
  }

  /** A memory cgroup that may use so many bytes (cgroup/cgroup.ts); its id, for `spawn`. */
  createCgroup(limitBytes: number): number {
    const limitPages = Math.floor(limitBytes / 4096);
    assert(limitPages > 0, 'a limit of no page');
    const cgroup = cgroupCreate(this.machine, limitPages);
    this.#reclaimers.set(cgroup, new Reclaimer(cgroup));
    return cgroup;
  }

  /** A new process with an empty address space, in a cgroup; 0 is the root. */
  spawn(pid: number, cgroup = 0): Process {
    assert(!this.#processes.has(pid), `process ${pid} exists`);
    const wasOffline = enter(this.machine);
    const mm = this.#orKill(() => mmCreate(this.machine, pid));
    this.machine.words[mm + MM_CGROUP] = cgroup;
    leave(this.machine, wasOffline);
    const process = new Process(this, pid, mm);
    this.#processes.set(pid, process);
    return process;
  }

  /**
   * A thread of a process that another thread's system made (shared machines): one more user of the
   * address space `mm`, given back by `exit`.
   */
  adopt(pid: number, mm: number): Process {
    assert(!this.#processes.has(pid), `process ${pid} exists`);
    Atomics.add(this.machine.words, mm + MM_USERS, 1);
    const process = new Process(this, pid, mm);
    this.#processes.set(pid, process);
    return process;
  }

  process(pid: number): Process | undefined {
    return this.#processes.get(pid);
  }

  processes(): IterableIterator<Process> {
    return this.#processes.values();
  }

  /** fork(2), or with `isVfork` a child that shares the address space. Undefined: out of memory. */
  fork(parent: Process, childPid: number, isVfork = false): Process | undefined {
    assert(!this.#processes.has(childPid), `process ${childPid} exists`);
    const m = this.machine;
    let mm = parent.mm;
    const wasOffline = enter(m);
    mmapWriteLock(m, parent.mm);
    if (!isVfork) mm = forkMm(m, parent.mm, childPid);
    else if (m.isShared) Atomics.add(m.words, mm + MM_USERS, 1);
    else m.words[mm + MM_USERS] += 1;
    mmapWriteUnlock(m, parent.mm);
    leave(m, wasOffline);
    if (mm === 0) return undefined;
    const child = new Process(this, childPid, mm);
    this.#processes.set(childPid, child);
    if (m.words[mm + MM_CGROUP] !== 0) this.keepLimit(m.words[mm + MM_CGROUP]);
    return child;
  }

  /** execve(2): the process gets an empty address space. */
  exec(process: Process): void {
    const wasOffline = enter(this.machine);
    const w = this.machine.words;
    const cgroup = w[process.mm + MM_CGROUP];
    const thpDisable = w[process.mm + MM_THP_DISABLE];
    exitMm(this.machine, process.mm);
    process.mm = this.#orKill(() => mmCreate(this.machine, process.pid));
    w[process.mm + MM_CGROUP] = cgroup;
    // MMF_INIT_MASK, include/linux/mm_types.h
    w[process.mm + MM_THP_DISABLE] = thpDisable;
    leave(this.machine, wasOffline);
  }

  exit(process: Process): void {
    this.#processes.delete(process.pid);
    process.isAlive = false;
    const wasOffline = enter(this.machine);
    this.machine.events.processExit?.(this.machine, process.pid);
    exitMm(this.machine, process.mm);
    leave(this.machine, wasOffline);
  }

  /** A file or shared memory to map; OBJECT_* as type. The caller holds a reference. */
  createObject(type: number, sizeBytes: number): number {
    return objectCreate(this.machine, type, sizeBytes);
  }

  /** A file of huge pages (hugetlbfs, memfd_create with MFD_HUGETLB). The caller holds a reference. */
  createHugetlbFile(sizeBytes: number): number {
    const { hugetlb } = this.machine;
    assert(hugetlb !== null, 'a machine without pages of 2 MiB');
    return createHugetlbFile(this.machine, hugetlb, sizeBytes);
  }

  closeObject(object: number): void {
    objectPut(this.machine, object);
  }

  /**
   * Ends the process that the OOM killer would choose; false if there is none, or if it was
   * `current` (which then is gone).
   */
  killForMemory(cgroup = 0, forPid = 0): Process | undefined {
    if (this.machine.isShared) return this.#reapForMemory(cgroup);
    const mm = chooseVictim(this.machine, cgroup);
    if (mm !== 0 && this.oomKills.length < OOM_KILLS_TOLD) {
      this.oomKills.push(oomKillOf(this.machine, mm, forPid));
    }
    let victim: Process | undefined;
    for (const process of this.#processes.values()) {
      if (process.mm !== mm) continue;
      victim = process;
      this.oomKilled.push(process.pid);
      this.exit(process);
    }
    return victim;
  }

  /**
   * Takes from a cgroup what it uses above its limit: by reclaim, else by the OOM killer inside it.
   * Called at checkpoints (docs/table-reclaim.md, "Charging").
   */
  keepLimit(cgroup: number): void {
    const m = this.machine;
    for (let excess = cgroupExcess(m, cgroup); excess > 0; excess = cgroupExcess(m, cgroup)) {
      m.words[cgroup + CG_MAX_EVENTS] += 1;
      const reclaimer = this.#reclaimers.get(cgroup);
      if (reclaimer !== undefined && this.#reclaimStopped(reclaimer, excess) > 0) continue;
      if (this.killForMemory(cgroup) === undefined) return;
      m.words[cgroup + CG_OOM_KILLS] += 1;
    }
  }

  /** Reclaim goes through other address spaces' tables: on a shared machine the world stands still. */
  #reclaimStopped(reclaimer: Reclaimer, pages: number): number {
    const m = this.machine;
    const wasOffline = enter(m);
    if (m.isShared) stopWorld(m);
    const freed = reclaimer.reclaimCgroup(m, pages);
    if (m.isShared) resumeWorld(m);
    leave(m, wasOffline);
    return freed;
  }

  /** The victim may be another thread's: it is emptied here and ended there (reclaim/oom.ts). */
  #reapForMemory(cgroup: number): Process | undefined {
    const mm = reapVictim(this.machine, cgroup);
    if (mm === 0) return undefined;
    const pid = this.machine.words[mm + MM_PID];
    this.oomKilled.push(pid);
    for (const process of this.#processes.values()) if (process.mm === mm) return process;
    return new Process(this, pid, mm);
  }

  #orKill(create: () => number): number {
    for (;;) {
      const mm = create();
      if (mm !== 0) return mm;
      if (makeRoom(this.machine)) continue;
      assert(this.killForMemory() !== undefined, 'no memory for a process and none to kill');
    }
  }
}

/** One process: its system calls and touches. Made by `System`. */
export class Process {
  readonly pid: number;
  /** The address space (word offset in the machine's buffer). */
  mm: number;
  readonly #system: System;
  #wasOffline = false;

  constructor(system: System, pid: number, mm: number) {
    this.#system = system;
    this.pid = pid;
    this.mm = mm;
  }

  get machine(): Machine {
    return this.#system.machine;
  }

  /** Where the heap begins; 0 until it is set. */
  get startBrk(): number {
    return mmDouble(this.machine, this.mm, MM_START_BRK);
  }

  /** False once the OOM killer or `exit` ended it. */
  isAlive = true;

  mmap(addr: number, len: number, prot: number, flags: number, object = 0, off = 0): number {
    const m = this.#lock();
    return this.#unlock(mmap(m, this.mm, addr, len, prot, flags, object, off));
  }
  munmap(addr: number, len: number): number {
    const m = this.#lock();
    return this.#unlock(munmap(m, this.mm, addr, len));
  }
  mprotect(addr: number, len: number, prot: number): number {
    const m = this.#lock();
    return this.#unlock(mprotect(m, this.mm, addr, len, prot));
  }
  mremap(addr: number, oldLen: number, newLen: number, flags: number, newAddr = 0): number {
    const m = this.#lock();
    return this.#unlock(mremap(m, this.mm, addr, oldLen, newLen, flags, newAddr));
  }
  madvise(addr: number, len: number, advice: number): number {
    if (changesAreas(advice)) {
      const m = this.#lock();
      return this.#unlock(madvise(m, this.mm, addr, len, advice));
    }
    const m = this.machine;
    const wasOffline = enter(m);
    mmapReadLock(m, this.mm);
    const result = madvise(m, this.mm, addr, len, advice);
    mmapReadUnlock(m, this.mm);
    leave(m, wasOffline);
    return result;
  }
  brk(addr: number): number {
    const m = this.#lock();
    return this.#unlock(brk(m, this.mm, addr));
  }
  setStartBrk(addr: number): void {
    setStartBrk(this.machine, this.mm, addr);
  }
  mlock(addr: number, len: number, flags = 0): number {
    const m = this.#lock();
    return this.#unlock(mlock(m, this.mm, addr, len, flags));
  }
  munlock(addr: number, len: number): number {
    const m = this.#lock();
    return this.#unlock(munlock(m, this.mm, addr, len));
  }
  mlockall(flags: number): number {
    const m = this.#lock();
    return this.#unlock(mlockall(m, this.mm, flags));
  }
  munlockall(): number {
    const m = this.#lock();
    return this.#unlock(munlockall(m, this.mm));
  }

  /** prctl(PR_SET_THP_DISABLE): THP_DISABLE and THP_DISABLE_EXCEPT_ADVISED as bits, 0 for neither. */
  setThpDisable(flags: number): number {
    const m = this.#lock();
    return this.#unlock(setThpDisable(m, this.mm, flags));
  }

  /** Every call that may change areas holds the mmap_lock for writing. */
  #lock(): Machine {
    const { machine } = this.#system;
    this.#wasOffline = enter(machine);
    mmapWriteLock(machine, this.mm);
    return machine;
  }

  #unlock(result: number): number {
    mmapWriteUnlock(this.#system.machine, this.mm);
    leave(this.#system.machine, this.#wasOffline);
    return result;
  }

  /**
   * Touches `count` addresses, `strideBytes` apart: the number of faults, or FAULT_SIGSEGV /
   * FAULT_SIGBUS at the first that cannot be. Out of memory ends a process first (reclaim/oom.ts);
   * if that is this one, the result is FAULT_OOM.
   */
  touch(addr: number, isWrite: boolean, count = 1, strideBytes = 4096): number {
    const page = Math.floor(addr / 4096);
    const stride = strideBytes / 4096;
    const cgroup = this.machine.words[this.mm + MM_CGROUP];
    if (cgroup !== 0) return this.#touchCharged(cgroup, page, count, stride, isWrite);
    return this.#touch(page, count, stride, isWrite);
  }

  /** In a cgroup: it is held to its limit after each batch. */
  #touchCharged(
    cgroup: number,
    page: number,
    count: number,
    stride: number,
    isWrite: boolean,
  ): number {
    let faults = 0;
    for (let done = 0; done < count; done += CHARGE_BATCH) {
      const batch = Math.min(CHARGE_BATCH, count - done);
      const result = this.#touch(page + done * stride, batch, stride, isWrite);
      if (result < 0) return result;
      faults += result;
      this.#system.keepLimit(cgroup);
      if (!this.isAlive) return FAULT_OOM;
    }
    return faults;
  }

  /** Whether the address is in a mapping of 2 MiB (the huge zero page is one) now. */
  isHugeAt(page: number): boolean {
    const m = this.machine;
    const hi = Math.floor(page / m.loPages);
    const table = leafWord(m, this.mm, hi, page - hi * m.loPages);
    return table > 0 && isHuge(m, table);
  }

  /**
   * As `touch` for writes on a machine with contents: each page then holds `content`, 0 or more, or for
   * -1 something that no other page holds (fault/fill.ts).
   */
  fill(addr: number, content: number, count = 1, strideBytes = 4096): number {
    let faults = 0;
    for (let i = 0; i < count; i++) {
      const at = addr + i * strideBytes;
      const result = this.touch(at, true);
      if (result < 0) return result;
      faults += result;
      fillPage(this.machine, this.mm, Math.floor(at / 4096), content);
    }
    return faults;
  }

  #touch(page: number, count: number, stride: number, isWrite: boolean): number {
    const m = this.machine;
    let done = 0;
    for (;;) {
      if (m.words[this.mm + MM_IS_REAPED] !== 0) return FAULT_OOM;
      const at = page + done * stride;
      const result = touchRange(m, this.mm, at, count - done, stride, isWrite);
      if (result !== FAULT_OOM) return result;
      // What came through needs no second touch: only who frees memory for the rest is new.
      done += m.touchedPages;
      if (this.#system.killForMemory(0, this.pid) === undefined || !this.isAlive) return FAULT_OOM;
    }
  }

  counters(): Counters {
    return countersOf(this.machine, this.mm);
  }
}
