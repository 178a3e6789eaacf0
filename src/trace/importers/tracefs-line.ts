import { addressFromHex } from '../address.ts';

/** What a line of trace_pipe says, as far as the importer uses it. */
export type TracefsRecord =
  | FaultRecord
  | EnterRecord
  | ExitRecord
  | ForkRecord
  | ExecRecord
  | DeathRecord;

interface RecordHead {
  tid: number;
  /** The process, with the option `record-tgid`; 0 without. */
  tgid: number;
  timeNs: number;
}
export interface FaultRecord extends RecordHead {
  kind: 'fault';
  isKernel: boolean;
  addr: number;
  /** The function of a kernel fault; the address as text of a user fault. */
  ip: string;
  errorCode: number;
}
export interface EnterRecord extends RecordHead {
  kind: 'enter';
  call: string;
  args: Readonly<Record<string, number>>;
}
export interface ExitRecord extends RecordHead {
  kind: 'exit';
  call: string;
  result: number;
  /** 0, or the positive error number. */
  errno: number;
}
export interface ForkRecord extends RecordHead {
  kind: 'fork';
  child: number;
}
export interface ExecRecord extends RecordHead {
  kind: 'exec';
  file: string;
  oldTid: number;
}
export interface DeathRecord extends RecordHead {
  kind: 'death';
  /** Whether it was the process's last thread; null where the kernel is too old to say. */
  isGroupDead: boolean | null;
}

/** Lines that are well formed but say nothing for a trace. */
export type Unused = { kind: 'lost'; events: number } | { kind: 'comment' } | { kind: 'other' };

const HEAD = /^\s*(.*)-(\d+)\s+(?:\(\s*([\d-]+)\)\s+)?\[\d+\]\s+(?:\S+\s+)?(\d+)\.(\d+): (.*)$/;
const FAULT = /^page_fault_(user|kernel): address=0x([0-9a-f]+) ip=(.+?) error_code=0x([0-9a-f]+)/;
const ENTER = /^sys_(\w+)\((.*)\)$/;
const EXIT = /^sys_(\w+) -> 0x([0-9a-f]+)$/;
const LOST = /^CPU:\d+ \[LOST (\d+) EVENTS\]/;

/** What one line says; null if it is not a line of trace_pipe at all. */
export function parseTracefsLine(line: string): TracefsRecord | Unused | null {
  const match = HEAD.exec(line);
  if (match === null) {
    if (line.startsWith('#') || line.trim() === '') return { kind: 'comment' };
    const lost = LOST.exec(line);
    return lost === null ? null : { kind: 'lost', events: Number(lost[1]) };
  }
  const [, , tid, tgid, seconds, fraction, body] = match as unknown as string[];
  const head: RecordHead = {
    tid: Number(tid),
    tgid: tgid === undefined || tgid.startsWith('-') ? 0 : Number(tgid),
    timeNs: Number(seconds) * 1e9 + Number((fraction as string).padEnd(9, '0').slice(0, 9)),
  };
  return parseBody(head, body as string);
}

function parseBody(head: RecordHead, body: string): TracefsRecord | Unused {
  const fault = FAULT.exec(body);
  if (fault !== null) return faultRecord(head, fault);
  const exit = EXIT.exec(body);
  if (exit !== null) {
    return { kind: 'exit', ...head, call: exit[1] as string, ...parseResult(exit[2] as string) };
  }
  const enter = ENTER.exec(body);
  if (enter !== null) {
    return {
      kind: 'enter',
      ...head,
      call: enter[1] as string,
      args: parseArgs(enter[2] as string),
    };
  }
  return parseSched(head, body) ?? { kind: 'other' };
}

function faultRecord(head: RecordHead, match: RegExpExecArray): FaultRecord {
  return {
    kind: 'fault',
    ...head,
    isKernel: match[1] === 'kernel',
    addr: addressFromHex(match[2] as string),
    ip: match[3] as string,
    errorCode: Number.parseInt(match[4] as string, 16),
  };
}

/** Numbers are hexadecimal; ftrace leaves the `0x` of a single decimal digit out. */
function parseArgs(text: string): Record<string, number> {
  const args: Record<string, number> = {};
  for (const part of text.split(', ')) {
    const argument = /^(\w+): (?:0x)?([0-9a-f]{1,16})$/.exec(part);
    if (argument !== null) args[argument[1] as string] = addressFromHex(argument[2] as string);
  }
  return args;
}

/** Linux returns errors as -4095 to -1. */
function parseResult(digits: string): { result: number; errno: number } {
  const isError = digits.length === 16 && digits.startsWith('fffffffffffff');
  const errno = isError ? 0x1000 - Number.parseInt(digits.slice(13), 16) : 0;
  return { result: addressFromHex(digits), errno };
}

function parseSched(head: RecordHead, body: string): TracefsRecord | null {
  const exec = /^sched_process_exec: filename=(.*) pid=(\d+) old_pid=(\d+)/.exec(body);
  if (exec !== null) {
    return { kind: 'exec', ...head, file: exec[1] as string, oldTid: Number(exec[3]) };
  }
  const fork = /^sched_process_fork: .* child_pid=(\d+)/.exec(body);
  if (fork !== null) return { kind: 'fork', ...head, child: Number(fork[1]) };
  const death = /^sched_process_exit: comm=.* pid=(\d+) prio=-?\d+(?: group_dead=(\w+))?/.exec(
    body,
  );
  if (death === null) return null;
  const isGroupDead = death[2] === undefined ? null : death[2] === 'true';
  return { kind: 'death', ...head, isGroupDead };
}
