import { CapabilityError, Errno, errnoName } from '../base/index.ts';
import { libc } from './libc.ts';

/**
 * One traced thread, seen from the one thread of ours that traces it (ptrace requests must come
 * from the thread that attached). All waiting is synchronous.
 */

const PTRACE_CONT = 7;
const PTRACE_GETREGS = 12;
const PTRACE_SETREGS = 13;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_GETEVENTMSG = 0x4201;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;

export const PTRACE_O_TRACEFORK = 2;
export const PTRACE_O_EXITKILL = 0x100000;

/** Wait for threads and forked children alike (linux/wait.h). */
const WALL = 0x40000000;

export const SIGTRAP = 5;
export const SIGBUS = 7;
export const SIGKILL = 9;
export const SIGSEGV = 11;

export const PTRACE_EVENT_NONE = 0;
export const PTRACE_EVENT_FORK = 1;

/** Why a wait returned. */
export type Stop =
  | { readonly kind: 'stopped'; readonly signal: number; readonly event: number }
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: number };

/** Byte size of user_regs_struct (sys/user.h). */
const REGISTER_BYTES = 27 * 8;

/** Byte offsets in user_regs_struct. */
const REGISTER_OFFSETS = {
  r15: 0,
  r14: 8,
  r13: 16,
  r12: 24,
  rbp: 32,
  rbx: 40,
  r11: 48,
  r10: 56,
  r9: 64,
  r8: 72,
  rax: 80,
  rcx: 88,
  rdx: 96,
  rsi: 104,
  rdi: 112,
  origRax: 120,
  rip: 128,
  rsp: 152,
} as const;
export type RegisterName = keyof typeof REGISTER_OFFSETS;

/** The registers of one thread as bytes; a value is a BigInt, for numbers lose bits above 2^53. */
export class Registers {
  readonly bytes: Buffer = Buffer.alloc(REGISTER_BYTES);

  get(name: RegisterName): bigint {
    return this.bytes.readBigUInt64LE(REGISTER_OFFSETS[name]);
  }

  set(name: RegisterName, value: bigint): void {
    this.bytes.writeBigUInt64LE(BigInt.asUintN(64, value), REGISTER_OFFSETS[name]);
  }

  copy(): Registers {
    const twin = new Registers();
    this.bytes.copy(twin.bytes);
    return twin;
  }
}

const waitStatus = new Int32Array(1);
const eventMessage = Buffer.alloc(8);

/** Attaches without stopping; `options` are PTRACE_O_*. */
export function seize(pid: number, options: number): void {
  if (libc().ptraceValue(PTRACE_SEIZE, pid, 0, options) === 0) return;
  const errno = libc().errno();
  if (errno === Errno.EPERM || errno === Errno.EACCES) {
    throw new CapabilityError(
      `not allowed to trace process ${pid} (ptrace): run as root or with CAP_SYS_PTRACE, ` +
        'or lower /proc/sys/kernel/yama/ptrace_scope',
    );
  }
  throw new Error(`PTRACE_SEIZE of ${pid}: ${errnoName(errno)}`);
}

export function interrupt(pid: number): void {
  checked(libc().ptraceValue(PTRACE_INTERRUPT, pid, 0, 0), 'PTRACE_INTERRUPT', pid);
}

/** Lets a stopped thread run, with `signal` (0: none) delivered to it. */
export function cont(pid: number, signal = 0): void {
  checked(libc().ptraceValue(PTRACE_CONT, pid, 0, signal), 'PTRACE_CONT', pid);
}

/** As `cont`, up to the next entry or exit of a system call. */
export function contToSyscall(pid: number): void {
  checked(libc().ptraceValue(PTRACE_SYSCALL, pid, 0, 0), 'PTRACE_SYSCALL', pid);
}

export function detach(pid: number, signal = 0): void {
  checked(libc().ptraceValue(PTRACE_DETACH, pid, 0, signal), 'PTRACE_DETACH', pid);
}

export function getRegisters(pid: number, into: Registers = new Registers()): Registers {
  checked(libc().ptraceBuffer(PTRACE_GETREGS, pid, 0, into.bytes), 'PTRACE_GETREGS', pid);
  return into;
}

export function setRegisters(pid: number, from: Registers): void {
  checked(libc().ptraceBuffer(PTRACE_SETREGS, pid, 0, from.bytes), 'PTRACE_SETREGS', pid);
}

/** What the last event stop was about; for a fork, the child's process number. */
export function getEventMessage(pid: number): number {
  checked(libc().ptraceBuffer(PTRACE_GETEVENTMSG, pid, 0, eventMessage), 'PTRACE_GETEVENTMSG', pid);
  return Number(eventMessage.readBigUInt64LE(0));
}

/** Waits until the thread stops or ends. */
export function waitFor(pid: number): Stop {
  for (;;) {
    if (libc().waitpid(pid, waitStatus, WALL) > 0) return decodeStatus(waitStatus[0]!);
    const errno = libc().errno();
    if (errno !== Errno.EINTR) throw new Error(`waitpid of ${pid}: ${errnoName(errno)}`);
  }
}

/** The fields of a wait status (bits/waitstatus.h); the event is in bits 16..23. */
function decodeStatus(status: number): Stop {
  const low = status & 0x7f;
  if (low === 0) return { kind: 'exited', code: (status >> 8) & 0xff };
  if ((status & 0xff) === 0x7f) {
    return { kind: 'stopped', signal: (status >> 8) & 0xff, event: (status >> 16) & 0xff };
  }
  return { kind: 'killed', signal: low };
}

function checked(result: number, what: string, pid: number): void {
  if (result !== -1) return;
  throw new Error(`${what} of ${pid}: ${errnoName(libc().errno())}`);
}
