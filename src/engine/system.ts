import { assert } from '../base/index.ts';
import { type Counters, countersOf } from './counters.ts';
import { FAULT_OOM } from './fault/fault-codes.ts';
import { touchRange } from './fault/touch.ts';
import { Machine, type MachineOptions } from './machine.ts';
import { objectCreate, objectPut } from './objects/object.ts';
import { chooseVictim } from './reclaim/oom.ts';
import { attachReclaim } from './reclaim/reclaim.ts';
import { brk, setStartBrk } from './space/brk.ts';
import { exitMm } from './space/exit.ts';
import { forkMm } from './space/fork.ts';
import { madvise } from './space/madvise.ts';
import { mlock, mlockall, munlock, munlockall } from './space/mlock.ts';
import { MM_START_BRK, MM_USERS, mmCreate, mmDouble } from './space/mm.ts';
import { mmap, munmap } from './space/mmap.ts';
import { mmapWriteLock, mmapWriteUnlock } from './space/mmap-lock.ts';
import { mprotect } from './space/mprotect.ts';
import { mremap } from './space/mremap.ts';

/**
 * A machine with processes: what a program sees of the engine. Addresses and lengths are bytes;
 * results are as system calls give them, a negative number being an errno.
 */
export class System {
  readonly machine: Machine;
  readonly #processes = new Map<number, Process>();
  /** Processes that the OOM killer ended, in order. */
  readonly oomKilled: number[] = [];

  constructor(machineOrOptions: Machine | MachineOptions = {}) {
    this.machine =
      machineOrOptions instanceof Machine ? machineOrOptions : Machine.create(machineOrOptions);
    attachReclaim(this.machine);
  }

  /** A new process with an empty address space. */
  spawn(pid: number): Process {
    assert(!this.#processes.has(pid), `process ${pid} exists`);
    const mm = this.#orKill(() => mmCreate(this.machine, pid));
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
    mmapWriteLock(m, parent.mm);
    if (isVfork) m.words[mm + MM_USERS] += 1;
    else mm = forkMm(m, parent.mm, childPid);
    mmapWriteUnlock(m, parent.mm);
    if (mm === 0) return undefined;
    const child = new Process(this, childPid, mm);
    this.#processes.set(childPid, child);
    return child;
  }

  /** execve(2): the process gets an empty address space. */
  exec(process: Process): void {
    exitMm(this.machine, process.mm);
    process.mm = this.#orKill(() => mmCreate(this.machine, process.pid));
  }

  exit(process: Process): void {
    this.#processes.delete(process.pid);
    process.isAlive = false;
    exitMm(this.machine, process.mm);
  }

  /** A file or shared memory to map; OBJECT_* as type. The caller holds a reference. */
  createObject(type: number, sizeBytes: number): number {
    return objectCreate(this.machine, type, sizeBytes);
  }

  closeObject(object: number): void {
    objectPut(this.machine, object);
  }

  /**
   * Ends the process that the OOM killer would choose; false if there is none, or if it was
   * `current` (which then is gone).
   */
  killForMemory(): Process | undefined {
    const mm = chooseVictim(this.machine);
    let victim: Process | undefined;
    for (const process of this.#processes.values()) {
      if (process.mm !== mm) continue;
      victim = process;
      this.oomKilled.push(process.pid);
      this.exit(process);
    }
    return victim;
  }

  #orKill(create: () => number): number {
    for (;;) {
      const mm = create();
      if (mm !== 0) return mm;
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
    const m = this.#lock();
    return this.#unlock(madvise(m, this.mm, addr, len, advice));
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

  /** Every call that may change areas or tables holds the mmap_lock for writing. */
  #lock(): Machine {
    const { machine } = this.#system;
    mmapWriteLock(machine, this.mm);
    return machine;
  }

  #unlock(result: number): number {
    mmapWriteUnlock(this.#system.machine, this.mm);
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
    for (;;) {
      const result = touchRange(this.machine, this.mm, page, count, stride, isWrite);
      if (result !== FAULT_OOM) return result;
      if (this.#system.killForMemory() === undefined || !this.isAlive) return FAULT_OOM;
    }
  }

  counters(): Counters {
    return countersOf(this.machine, this.mm);
  }
}
