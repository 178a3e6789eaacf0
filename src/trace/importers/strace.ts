import { InputError } from '../../base/index.ts';
import { Op, Outcome, type TraceReader } from '../event.ts';
import { EventList, ListReader } from './event-list.ts';
import { FileNames } from './file-names.ts';
import { insertLayouts } from './insert-layouts.ts';
import { MemoryCalls } from './memory-calls.ts';
import { Notes } from './notes.ts';
import { Processes } from './processes.ts';
import { parseStraceLine, StraceClock, type StraceLine } from './strace-line.ts';
import {
  splitArguments,
  straceFdPath,
  straceNumber,
  straceResult,
  straceString,
} from './strace-values.ts';

/** Output of strace -f. */
export interface StraceInput {
  trace: Iterable<string>;
  /** Of the recording, for the header and for messages. */
  name: string;
}

/** Names of the parameters in order, as `MemoryCalls` wants them. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  mmap: ['addr', 'len', 'prot', 'flags', 'fd', 'off'],
  munmap: ['addr', 'len'],
  mprotect: ['start', 'len', 'prot'],
  pkey_mprotect: ['start', 'len', 'prot'],
  madvise: ['start', 'len', 'behavior'],
  mremap: ['addr', 'old_len', 'new_len', 'flags', 'new_addr'],
  brk: ['brk'],
  mlock: ['start', 'len'],
  mlock2: ['start', 'len', 'flags'],
  munlock: ['start', 'len'],
  mlockall: ['flags'],
  munlockall: [],
  prctl: ['option', 'arg2', 'arg3', 'arg4', 'arg5'],
};

const FALLOC_FL_PUNCH_HOLE = 2;

/** A finished call, or the end of a task, at its place in the order of completion. */
interface Step {
  tid: number;
  timeNs: number;
  call: string;
  args: string;
  result: string;
}

/**
 * Turns strace's output into a trace: memory calls and processes, without any touch, as strace does
 * not see faults. Throws InputError for what is no such output.
 */
export function importStrace(input: StraceInput): TraceReader {
  const { steps, hasExits } = readSteps(input);
  const conversion = new Conversion(hasExits);
  for (const step of steps) conversion.step(step);
  const { list, files, processes, notes } = conversion;
  const layouts = insertLayouts(list, files, processes.images, 0, []);
  files.settle();
  notes.say('strace sees no page faults, so nothing is touched');
  notes.say('what exec mapped is known only as far as recorded calls act on it');
  return new ListReader(
    input.name,
    {
      pagelab: 1,
      source: `strace recording ${input.name}`,
      name: input.name,
      layouts,
      notes: notes.lines(),
    },
    list,
  );
}

const EXITED = '+++';

/** Joins what strace split, and orders by completion, a new task's birth before its first line. */
function readSteps(input: StraceInput): { steps: Step[]; hasExits: boolean } {
  const steps: Step[] = [];
  const clock = new StraceClock();
  const unfinished = new Map<number, { call: string; args: string; timeNs: number }>();
  const births = new BirthOrder();
  const alive = new Set<number>();
  let mainTid = 0;
  let lineNumber = 0;
  for (const text of input.trace) {
    lineNumber++;
    const line = parseStraceLine(text);
    if (line === null) {
      throw new InputError(
        `${input.name}:${lineNumber}: not a line of strace's; it must look like 123 12:00:00 munmap(0x7f0000000000, 4096) = 0`,
      );
    }
    if (line.kind === 'comment') continue;
    // Without a number it is the only task left, at first the program itself.
    const [only] = alive;
    const tid = line.head.tid || (alive.size === 1 && only !== undefined ? only : mainTid || 1);
    if (mainTid === 0) mainTid = tid;
    alive.add(tid);
    births.see(tid, steps.length);
    const timeNs = clock.timeNs(line.head.stamp);
    const step = stepOf(line, tid, timeNs, unfinished);
    if (step === null) continue;
    if (step.call === EXITED) alive.delete(tid);
    births.add(steps, step);
  }
  return { steps: births.ordered(steps), hasExits: steps.some((step) => step.call === EXITED) };
}

function stepOf(
  line: Exclude<StraceLine, { kind: 'comment' }>,
  tid: number,
  timeNs: number,
  unfinished: Map<number, { call: string; args: string; timeNs: number }>,
): Step | null {
  if (line.kind === 'exited') return { tid, timeNs, call: EXITED, args: '', result: '' };
  if (line.kind === 'call') {
    return { tid, timeNs, call: line.call, args: line.args, result: line.result };
  }
  if (line.kind === 'unfinished') {
    unfinished.set(tid, { call: line.call, args: line.args, timeNs });
  } else if (line.kind === 'resumed') {
    const begun = unfinished.get(tid);
    unfinished.delete(tid);
    if (begun?.call !== line.call) return null;
    return { tid, timeNs, call: line.call, args: begun.args + line.args, result: line.result };
  }
  return null;
}

const NEW_TASK = /^(?:clone3?|v?fork)$/;

/** A child may run before its parent's clone is seen to return; its birth must still come first. */
class BirthOrder {
  readonly #firstStepByTid = new Map<number, number>();
  readonly #moves: { from: number; before: number }[] = [];

  see(tid: number, nextStep: number): void {
    if (!this.#firstStepByTid.has(tid)) this.#firstStepByTid.set(tid, nextStep);
  }

  add(steps: Step[], step: Step): void {
    const child = NEW_TASK.test(step.call) ? straceResult(step.result).value : 0;
    const first = this.#firstStepByTid.get(child);
    if (child > 0 && first !== undefined) this.#moves.push({ from: steps.length, before: first });
    if (step.call === EXITED) this.#firstStepByTid.delete(step.tid);
    steps.push(step);
  }

  ordered(steps: readonly Step[]): Step[] {
    const movedBefore = new Map<number, Step[]>();
    const moved = new Set<number>();
    for (const { from, before } of this.#moves) {
      const birth = steps[from] as Step;
      const timeNs = Math.min(birth.timeNs, steps[before]?.timeNs ?? birth.timeNs);
      movedBefore.set(before, [...(movedBefore.get(before) ?? []), { ...birth, timeNs }]);
      moved.add(from);
    }
    return steps.flatMap((step, index) => {
      const births = movedBefore.get(index) ?? [];
      return moved.has(index) ? births : [...births, step];
    });
  }
}

class Conversion {
  readonly list = new EventList();
  readonly files = new FileNames();
  readonly notes = new Notes();
  readonly processes = new Processes(this.list);
  readonly #memoryCalls = new MemoryCalls(this.list, this.files);
  readonly #pidByTid = new Map<number, number>();
  readonly #tids = new Map<number, Set<number>>();
  /** `pid:fd` → path, where opens were recorded. */
  readonly #paths = new Map<string, string>();
  readonly #hasExits: boolean;

  constructor(hasExits: boolean) {
    this.#hasExits = hasExits;
  }

  step(step: Step): void {
    const { call, tid, timeNs } = step;
    const pid = this.#pidByTid.get(tid) ?? tid;
    if (call === EXITED) this.#end(pid, tid, timeNs);
    else if (call === 'exit_group') {
      if (!this.#hasExits) this.processes.exit(pid, tid, timeNs);
    } else if (this.processes.isDead(pid))
      this.notes.count('calls dropped: the process had exited');
    else if (NEW_TASK.test(call)) this.#newTask(step, pid);
    else if (/^execve(?:at)?$/.test(call)) this.#exec(step, pid);
    else if (call === 'prctl' && !/^PR_SET_THP_DISABLE\b/.test(step.args)) return;
    else if (call in PARAMETERS) this.#memory(step, pid);
    else this.#file(step, pid);
  }

  #live(pid: number, tid: number): void {
    const tids = this.#tids.get(pid);
    if (tids === undefined) this.#tids.set(pid, new Set([pid, tid]));
    else tids.add(tid);
  }

  /** The process ends with its last task. */
  #end(pid: number, tid: number, timeNs: number): void {
    this.#live(pid, tid);
    const tids = this.#tids.get(pid) as Set<number>;
    tids.delete(tid);
    this.#pidByTid.delete(tid);
    if (tids.size > 0) return;
    this.#tids.delete(pid);
    this.processes.exit(pid, tid, timeNs);
  }

  #newTask(step: Step, pid: number): void {
    const { value: child, errno, isKnown } = straceResult(step.result);
    if (!isKnown || errno !== 0 || child <= 0) return;
    if (/\bCLONE_THREAD\b/.test(step.args)) {
      this.#pidByTid.set(child, pid);
      this.#live(pid, child);
      return;
    }
    const isVfork = step.call === 'vfork' || /\bCLONE_VM\b/.test(step.args);
    this.#pidByTid.set(child, child);
    this.processes.fork(pid, child, isVfork, step.tid, step.timeNs);
    for (const [key, path] of this.#paths) {
      if (key.startsWith(`${pid}:`))
        this.#paths.set(`${child}:${key.slice(`${pid}:`.length)}`, path);
    }
  }

  #exec(step: Step, pid: number): void {
    if (straceResult(step.result).value !== 0) return;
    const path = splitArguments(step.args)
      .map(straceString)
      .find((text) => text !== '');
    this.processes.exec(pid, path ?? '', step.tid, step.timeNs);
  }

  #memory(step: Step, pid: number): void {
    const names = PARAMETERS[step.call] as readonly string[];
    const texts = splitArguments(step.args);
    const args: Record<string, number> = {};
    for (const [index, name] of names.entries()) {
      const text = texts[index];
      if (text === undefined) continue;
      const value = straceNumber(text);
      if (Number.isNaN(value)) {
        this.notes.count(`calls dropped: the meaning of ${name} is not known`);
        return;
      }
      args[name] = value < 0 ? value + 2 ** 32 : value;
    }
    const { value, errno, isKnown } = straceResult(step.result);
    if (!isKnown) {
      this.notes.count('calls dropped: no result');
      return;
    }
    const { tid, timeNs, call } = step;
    const file = this.#path(pid, texts[4] ?? '');
    this.#memoryCalls.add(
      {
        pid,
        tid,
        timeNs,
        call,
        args,
        result: value,
        errno,
        ...(call === 'mmap' && file !== '' ? { file } : {}),
      },
      this.processes.space(pid, timeNs),
    );
  }

  /** Calls on files, where strace was asked for them: they name what is mapped. */
  #file(step: Step, pid: number): void {
    const { value, errno, isKnown } = straceResult(step.result);
    if (!isKnown || errno !== 0) return;
    const args = splitArguments(step.args);
    const descriptor = args[0] ?? '';
    const key = `${pid}:${straceNumber(descriptor)}`;
    const base = { pid, tid: step.tid, timeNs: step.timeNs, outcome: Outcome.ok };
    if (/^open(?:at2?)?$|^creat$/.test(step.call)) {
      const path = args.map(straceString).find((text) => text !== '');
      if (path !== undefined) this.#paths.set(`${pid}:${value}`, path);
    } else if (step.call === 'memfd_create') {
      this.#paths.set(`${pid}:${value}`, `memfd:${straceString(args[0] ?? '')}`);
    } else if (step.call === 'close') this.#paths.delete(key);
    else if (step.call === 'ftruncate') {
      const file = this.#path(pid, descriptor);
      if (file !== '')
        this.list.push({ op: Op.truncate, ...base, file, len: straceNumber(args[1] ?? '') });
    } else if (step.call === 'fallocate') {
      const file = this.#path(pid, descriptor);
      const isPunch = (straceNumber(args[1] ?? '') & FALLOC_FL_PUNCH_HOLE) !== 0;
      const [off, len] = [straceNumber(args[2] ?? ''), straceNumber(args[3] ?? '')];
      if (file !== '' && isPunch) this.list.push({ op: Op.punch, ...base, file, off, len });
    } else this.notes.count('calls that a trace has no place for');
  }

  #path(pid: number, descriptor: string): string {
    return (
      straceFdPath(descriptor) || (this.#paths.get(`${pid}:${straceNumber(descriptor)}`) ?? '')
    );
  }
}
