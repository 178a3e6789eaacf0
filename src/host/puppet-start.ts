import { closeSync, writeSync } from 'node:fs';
import { CapabilityError, errnoName } from '../base/index.ts';
import { libc } from './libc.ts';
import * as ptrace from './ptrace.ts';
import { IDLE_SYSCALL_ADDR, idleProgram } from './puppet-code.ts';

const ADDR_NO_RANDOMIZE = 0x40000;
const QUERY_PERSONALITY = 0xffffffff;
const MFD_CLOEXEC = 1;
const MFD_EXEC = 0x10;

/** Starts the idle program with a fixed address-space layout; its process number. */
export function spawnIdle(): number {
  const c = libc();
  let fd = c.memfdCreate('pagelab-puppet', MFD_CLOEXEC | MFD_EXEC);
  if (fd < 0) fd = c.memfdCreate('pagelab-puppet', MFD_CLOEXEC); // before Linux 6.3
  if (fd < 0) throw new CapabilityError(`memfd_create: ${errnoName(c.errno())}`);
  const persona = c.personality(QUERY_PERSONALITY);
  try {
    writeSync(fd, idleProgram());
    c.personality(persona | ADDR_NO_RANDOMIZE);
    const pid = new Int32Array(1);
    const errno = c.posixSpawn(pid, `/proc/self/fd/${fd}`, ['pagelab-puppet'], []);
    if (errno === 0) return pid[0]!;
    throw new CapabilityError(
      `cannot start a puppet process from a memfd (${errnoName(errno)}): ` +
        'see sysctl vm.memfd_noexec and the system-call filter of this container',
    );
  } finally {
    c.personality(persona);
    closeSync(fd);
  }
}

/** One system call through the idle program's own `syscall` instruction, before the mailbox exists. */
export function callByRegisters(pid: number, number: number, args: readonly number[]): void {
  const saved = ptrace.getRegisters(pid);
  const call = saved.copy();
  const names = ['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const;
  call.set('rax', BigInt(number));
  call.set('origRax', -1n);
  call.set('rip', BigInt(IDLE_SYSCALL_ADDR));
  for (const [index, name] of names.entries()) call.set(name, BigInt(args[index] ?? 0));
  ptrace.setRegisters(pid, call);
  for (const _ of ['entry', 'exit']) {
    ptrace.contToSyscall(pid);
    expectStop(ptrace.waitFor(pid), 'a system call');
  }
  const result = BigInt.asIntN(64, ptrace.getRegisters(pid).get('rax'));
  if (result < 0n) throw new Error(`puppet's system call ${number}: errno ${-result}`);
  ptrace.setRegisters(pid, saved);
}

export function expectStop(stop: ptrace.Stop, where: string): void {
  if (stop.kind !== 'stopped') throw new Error(`puppet ended at ${where}: ${JSON.stringify(stop)}`);
}
