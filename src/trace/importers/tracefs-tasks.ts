import type { TracefsLog } from './tracefs-log.ts';

/** What a sched_process_fork made. */
export type ForkKind = 'thread' | 'fork' | 'vfork';

/** What the whole recording tells of its tasks, by index in the log. */
export interface TaskFacts {
  /** Threads that did exec. */
  execTids: ReadonlySet<number>;
  forkKindByIndex: ReadonlyMap<number, ForkKind>;
  /** Faults in which the kernel set up a new image, before it reported the exec: fault → exec. */
  execOfSetupFault: ReadonlyMap<number, number>;
}

const CLONE_VM = 0x100;
const CLONE_VFORK = 0x4000;
const CLONE_THREAD = 0x10000;

/**
 * Functions that touch the new image on behalf of execve: clearing the rest of the last page of a
 * segment (elf_load), and writing auxiliary vector, pointers and random bytes to the new stack
 * (fs/binfmt_elf.c, create_elf_tables).
 */
const EXEC_SETUP = /elf|clear_user|stos|copy_to_user|put_user/;

interface Birth {
  index: number;
  child: number;
  /** Flags of clone, null for clone3, whose flags are in user memory. */
  flags: number | null;
  execIndex: number;
  returnIndex: number;
  deathIndex: number;
  isGroupDeadAtDeath: boolean;
  /** Process of the child as the recording itself says it (option record-tgid); 0 if it does not. */
  tgid: number;
  parentTid: number;
}

/** Decides what is a thread, a process, a vfork, and which faults belong to an exec. */
export function findTaskFacts(log: TracefsLog): TaskFacts {
  const births: Birth[] = [];
  const latestBirth = new Map<number, Birth>();
  const pendingClone = new Map<number, { flags: number | null; births: Birth[] }>();
  const setupRun = new Map<number, number[]>();
  const execOfSetupFault = new Map<number, number>();
  const execTids = new Set<number>();
  const leaderDeath = new Map<number, number>();
  for (let index = 0; index < log.length; index++) {
    const tid = log.tid(index);
    const record = log.other(index);
    if (record === null) {
      collectSetup(log, index, setupRun);
      continue;
    }
    const birth = latestBirth.get(tid);
    if (birth !== undefined && record.tgid !== 0) birth.tgid = record.tgid;
    if (record.kind === 'exec') {
      execTids.add(tid);
      for (const fault of setupRun.get(tid) ?? []) execOfSetupFault.set(fault, index);
      if (birth !== undefined && birth.execIndex < 0) birth.execIndex = index;
    } else if (record.kind === 'enter') {
      const flags = cloneFlags(record.call, record.args);
      if (flags !== undefined) pendingClone.set(tid, { flags, births: [] });
    } else if (record.kind === 'exit') {
      for (const made of pendingClone.get(tid)?.births ?? []) made.returnIndex = index;
      pendingClone.delete(tid);
    } else if (record.kind === 'fork') {
      const call = pendingClone.get(tid);
      const made = newBirth(index, tid, record.child, call === undefined ? 0 : call.flags);
      call?.births.push(made);
      births.push(made);
      latestBirth.set(record.child, made);
    } else if (record.kind === 'death') {
      leaderDeath.set(tid, index);
      if (birth !== undefined) {
        birth.deathIndex = index;
        birth.isGroupDeadAtDeath = record.isGroupDead === true;
      }
    }
    setupRun.delete(tid);
  }
  const forkKindByIndex = new Map(births.map((birth) => [birth.index, kindOf(birth, leaderDeath)]));
  return { execTids, forkKindByIndex, execOfSetupFault };
}

/** Extends or ends the run of faults at the end of which an exec may be reported. */
function collectSetup(log: TracefsLog, index: number, setupRun: Map<number, number[]>): void {
  const tid = log.tid(index);
  if (!EXEC_SETUP.test(log.kernelIp(index))) {
    setupRun.delete(tid);
    return;
  }
  const run = setupRun.get(tid);
  if (run === undefined) setupRun.set(tid, [index]);
  else run.push(index);
}

/** undefined: no call that makes tasks; null: flags unknown. */
function cloneFlags(
  call: string,
  args: Readonly<Record<string, number>>,
): number | null | undefined {
  if (call === 'clone') return args['clone_flags'] ?? null;
  if (call === 'clone3') return null;
  if (call === 'fork') return 0;
  if (call === 'vfork') return CLONE_VM | CLONE_VFORK;
  return undefined;
}

function newBirth(index: number, parentTid: number, child: number, flags: number | null): Birth {
  return {
    index,
    parentTid,
    child,
    flags,
    execIndex: -1,
    returnIndex: -1,
    deathIndex: -1,
    isGroupDeadAtDeath: false,
    tgid: 0,
  };
}

/**
 * clone tells it. For clone3, whose arguments no event shows: a task that execs is a process, and a
 * vfork if its parent's clone3 returned only afterwards (posix_spawn); one that died without its
 * group was a thread; one whose death ended a group was a process, unless its parent, a thread of
 * the same group, had died before. Otherwise pthread_create is by far the commonest user of clone3.
 */
function kindOf(birth: Birth, deaths: ReadonlyMap<number, number>): ForkKind {
  if (birth.tgid !== 0 && birth.tgid !== birth.child) return 'thread';
  if (birth.flags !== null) {
    if ((birth.flags & CLONE_THREAD) !== 0) return 'thread';
    return (birth.flags & CLONE_VM) !== 0 ? 'vfork' : 'fork';
  }
  if (birth.execIndex >= 0) return birth.returnIndex > birth.execIndex ? 'vfork' : 'fork';
  if (birth.tgid === birth.child) return 'fork';
  if (birth.deathIndex < 0 || !birth.isGroupDeadAtDeath) return 'thread';
  const parentDeath = deaths.get(birth.parentTid) ?? Number.POSITIVE_INFINITY;
  return parentDeath < birth.deathIndex ? 'thread' : 'fork';
}
