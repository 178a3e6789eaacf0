import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { CapabilityError, PR_SET_THP_DISABLE } from '../base/index.ts';
import { settleKhugepaged } from './huge-pages.ts';
import { type MapsEntry, type PageCounts, ProcFiles, type Status } from './proc.ts';
import * as ptrace from './ptrace.ts';
import {
  COMMAND_BYTES,
  COMMAND_READ,
  COMMAND_RESULT_OFFSET,
  COMMAND_STOP,
  COMMAND_WRITE,
  PUPPET_CODE,
} from './puppet-code.ts';
import { callByRegisters, expectStop, spawnIdle } from './puppet-start.ts';

export interface PuppetOptions {
  /** Leaves transparent huge pages to the system's setting; otherwise they are off for the puppet. */
  readonly hasHugePages?: boolean;
}

/**
 * A puppet is a process of ours that does memory operations on command, one after the other, so
 * that the kernel's answers and counters can be read after each. It has no libc, no stack and no
 * vdso: besides what it is told to map, its address space is one code page and two data pages,
 * all written before anything is measured, so that its own share of every counter is constant.
 *
 * Between commands it is stopped by ptrace. The kernel kills it when pagelab ends.
 */
export class Puppet {
  readonly pid: number;
  readonly #memoryFd: number;
  readonly #files: ProcFiles;
  readonly #records: Buffer = Buffer.alloc(COMMANDS_MAX * COMMAND_BYTES);
  #isAlive = true;
  #forkedPid = 0;

  private constructor(pid: number) {
    this.pid = pid;
    this.#memoryFd = openSync(`/proc/${pid}/mem`, 'r+');
    this.#files = new ProcFiles(pid);
  }

  /** Starts a puppet; CapabilityError where this machine or user cannot trace. */
  static start(options: PuppetOptions = {}): Puppet {
    const pid = spawnIdle();
    try {
      ptrace.seize(pid, ptrace.PTRACE_O_EXITKILL | ptrace.PTRACE_O_TRACEFORK);
      ptrace.interrupt(pid);
      expectStop(ptrace.waitFor(pid), 'the start');
      const puppet = new Puppet(pid);
      puppet.#moveIn();
      if (options.hasHugePages) settleKhugepaged(puppet);
      else puppet.syscall(SYS_PRCTL, PR_SET_THP_DISABLE, 1, 0, 0, 0);
      return puppet;
    } catch (error) {
      process.kill(pid, 'SIGKILL');
      throw error;
    }
  }

  /** Runs one system call in the puppet; the result as the kernel gives it: negative is -errno. */
  syscall(number: number, ...args: readonly number[]): number {
    this.#put(0, number, args);
    this.#runRecords(1);
    return this.#result(0);
  }

  /** Runs several system calls without a stop between them. At most COMMANDS_MAX - 1. */
  syscalls(calls: readonly (readonly [number: number, ...args: number[]])[]): number[] {
    calls.forEach(([number, ...args], index) => {
      this.#put(index, number, args);
    });
    this.#runRecords(calls.length);
    return calls.map((_, index) => this.#result(index));
  }

  /** One load or store by the puppet itself; false where it would have died (SIGSEGV, SIGBUS). */
  touch(addr: number, isWrite: boolean): boolean {
    return this.touchMany(addr, isWrite, 1, 0) === 1;
  }

  /** `count` touches at a distance, up to the first that fails; how many succeeded. */
  touchMany(addr: number, isWrite: boolean, count: number, strideBytes: number): number {
    this.#put(0, isWrite ? COMMAND_WRITE : COMMAND_READ, [addr, count, strideBytes]);
    this.#runRecords(1);
    return this.#result(0);
  }

  /** Copies bytes into the puppet's data page, for arguments that are pointers; their address. */
  putData(bytes: Uint8Array): number {
    if (bytes.length > PAGE_BYTES) throw new RangeError(`putData: ${bytes.length} > ${PAGE_BYTES}`);
    writeSync(this.#memoryFd, bytes, 0, bytes.length, DATA_ADDR);
    return DATA_ADDR;
  }

  /** Forks the puppet; the child is a puppet of its own. Negative -errno where fork fails. */
  fork(): Puppet | number {
    this.#forkedPid = 0;
    const result = this.syscall(SYS_FORK);
    if (result < 0) return result;
    expectStop(ptrace.waitFor(this.#forkedPid), 'the start of a forked puppet');
    const child = new Puppet(this.#forkedPid);
    child.#runToStop();
    return child;
  }

  status(): Status {
    return this.#files.status();
  }

  anonHugeKiB(): number {
    return this.#files.anonHugeKiB();
  }

  pages(startAddr: number, endAddr: number): PageCounts {
    return this.#files.pages(startAddr, endAddr);
  }

  maps(startAddr: number, endAddr: number): MapsEntry[] {
    return this.#files.maps(startAddr, endAddr);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Ends the puppet by its own exit_group, as a program would end, and reaps it. */
  exit(): void {
    if (!this.#isAlive) return;
    this.#put(0, SYS_EXIT_GROUP, [0]);
    this.#flush(1);
    ptrace.cont(this.pid);
    this.#waitForEnd();
  }

  /** Ends the puppet at once and reaps it. */
  kill(): void {
    if (!this.#isAlive) return;
    process.kill(this.pid, 'SIGKILL');
    this.#waitForEnd();
  }

  #waitForEnd(): void {
    while (ptrace.waitFor(this.pid).kind === 'stopped') ptrace.cont(this.pid);
    this.#isAlive = false;
    closeSync(this.#memoryFd);
    this.#files.close();
  }

  /** Maps code and mailbox, starts the interpreter, and unmaps everything else. */
  #moveIn(): void {
    const rw = PROT_RW;
    const flags = MAP_PRIVATE_ANON_FIXED;
    callByRegisters(this.pid, SYS_MMAP, [CODE_ADDR, OWN_BYTES, rw, flags, -1, 0]);
    writeSync(this.#memoryFd, PUPPET_CODE.bytes, 0, PUPPET_CODE.bytes.length, CODE_ADDR);
    this.putData(Buffer.alloc(PAGE_BYTES));
    callByRegisters(this.pid, SYS_MPROTECT, [CODE_ADDR, PAGE_BYTES, PROT_RX]);
    this.#flush(0);
    const registers = ptrace.getRegisters(this.pid);
    registers.set('rip', BigInt(CODE_ADDR + PUPPET_CODE.labels.get('entry')!));
    registers.set('r12', BigInt(MAILBOX_ADDR));
    registers.set('origRax', -1n);
    ptrace.setRegisters(this.pid, registers);
    this.#runToStop();
    for (const { startAddr, endAddr, name } of this.maps(0, 2 ** 47)) {
      const isOwn = startAddr >= CODE_ADDR && endAddr <= CODE_ADDR + OWN_BYTES;
      if (!isOwn && name !== '[vsyscall]') {
        this.syscall(SYS_MUNMAP, startAddr, endAddr - startAddr);
      }
    }
    this.#ignoreChildren();
  }

  /** With SIGCHLD ignored, forked puppets need no wait by their parent. */
  #ignoreChildren(): void {
    const action = Buffer.alloc(32);
    action.writeBigUInt64LE(1n, 0); // SIG_IGN
    this.syscall(SYS_RT_SIGACTION, SIGCHLD, this.putData(action), 0, 8);
  }

  #put(index: number, number: number, args: readonly number[]): void {
    const base = index * COMMAND_BYTES;
    writeWord(this.#records, base, number);
    for (let i = 0; i < 6; i++) writeWord(this.#records, base + 8 + i * 8, args[i] ?? 0);
  }

  #result(index: number): number {
    const at = index * COMMAND_BYTES + COMMAND_RESULT_OFFSET;
    return this.#records.readInt32LE(at + 4) * 2 ** 32 + this.#records.readUInt32LE(at);
  }

  /** Writes the first records and a stop behind them to the mailbox. */
  #flush(count: number): void {
    writeWord(this.#records, count * COMMAND_BYTES, COMMAND_STOP);
    writeSync(this.#memoryFd, this.#records, 0, count * COMMAND_BYTES + 8, MAILBOX_ADDR);
  }

  #runRecords(count: number): void {
    if (count >= COMMANDS_MAX) throw new RangeError(`${count} commands at once`);
    this.#flush(count);
    this.#runToStop();
    readSync(this.#memoryFd, this.#records, 0, count * COMMAND_BYTES, MAILBOX_ADDR);
  }

  /** Lets the puppet run to its int3. Faults of its touches become counts on the way. */
  #runToStop(): void {
    ptrace.cont(this.pid);
    for (;;) {
      const stop = ptrace.waitFor(this.pid);
      if (stop.kind !== 'stopped') {
        this.#isAlive = false;
        const how = stop.kind === 'killed' ? `signal ${stop.signal}` : `exit code ${stop.code}`;
        throw new Error(`puppet ${this.pid} ended by ${how}`);
      }
      if (stop.event === ptrace.PTRACE_EVENT_FORK) {
        this.#forkedPid = ptrace.getEventMessage(this.pid);
      } else if (stop.signal === ptrace.SIGSEGV || stop.signal === ptrace.SIGBUS) {
        this.#endTouch();
      } else if (stop.signal === ptrace.SIGTRAP && stop.event === ptrace.PTRACE_EVENT_NONE) {
        return;
      }
      // Other signals (Ctrl-C reaches the whole terminal group) are not for the puppet.
      ptrace.cont(this.pid);
    }
  }

  /** A touch faulted: the signal is dropped and the interpreter goes on where touches end. */
  #endTouch(): void {
    const registers = ptrace.getRegisters(this.pid);
    const offset = Number(registers.get('rip')) - CODE_ADDR;
    const labels = PUPPET_CODE.labels;
    if (offset !== labels.get('store8') && offset !== labels.get('load8')) {
      throw new Error(`puppet ${this.pid} faulted at code offset ${offset}`);
    }
    registers.set('rip', BigInt(CODE_ADDR + labels.get('touchDone')!));
    ptrace.setRegisters(this.pid, registers);
  }
}

const PAGE_BYTES = 4096;
/**
 * The puppet's own pages: code, mailbox, data. Below all that is tested, in a 512 GB region of its
 * own: a mapping that grows downwards must never meet them as its upper neighbour.
 */
const CODE_ADDR = 0x0f5500000000;
const MAILBOX_ADDR = CODE_ADDR + PAGE_BYTES;
const DATA_ADDR = MAILBOX_ADDR + PAGE_BYTES;
const OWN_BYTES = 3 * PAGE_BYTES;
const COMMANDS_MAX = PAGE_BYTES / COMMAND_BYTES;

const PROT_RW = 3;
const PROT_RX = 5;
const MAP_PRIVATE_ANON_FIXED = 0x32;
const SIGCHLD = 17;

const SYS_MMAP = 9;
const SYS_MPROTECT = 10;
const SYS_MUNMAP = 11;
const SYS_RT_SIGACTION = 13;
const SYS_FORK = 57;
const SYS_PRCTL = 157;
const SYS_EXIT_GROUP = 231;

/** A signed 64-bit word; numbers are exact up to 2^53. */
function writeWord(into: Buffer, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  into.writeUInt32LE(value - high * 2 ** 32, at);
  into.writeInt32LE(high | 0, at + 4);
}

/** Whether puppets can be had here; null, or the reason why not. */
export function whyNoPuppet(): string | null {
  try {
    Puppet.start().kill();
    return null;
  } catch (error) {
    if (error instanceof CapabilityError) return error.message;
    throw error;
  }
}
