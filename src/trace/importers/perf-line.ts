import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { addressFromHex } from '../address.ts';

/** What a line of `perf script` says, as far as the importer uses it. */
export type PerfLine =
  | { kind: 'fault'; head: PerfHead; addr: number; ip: number }
  | { kind: 'fork'; head: PerfHead; pid: number; tid: number; parentPid: number }
  | { kind: 'exit'; head: PerfHead; pid: number; tid: number }
  | { kind: 'exec'; head: PerfHead; pid: number; file: string }
  | { kind: 'mmap'; head: PerfHead; pid: number; mapping: PerfMapping }
  | { kind: 'other' };

export interface PerfHead {
  pid: number;
  tid: number;
  timeNs: number;
}

export interface PerfMapping {
  start: number;
  len: number;
  off: number;
  prot: number;
  isShared: boolean;
  /** `//anon`, `[heap]`, a path, … */
  name: string;
}

const HEAD = /^\s*(.*?)\s+(\d+)(?:\/(\d+))?\s+(?:\[\d+\]\s+)?(\d+)\.(\d+):\s+(.*)$/;
const FAULT =
  /^(?:\d+\s+)?(?:page-|minor-|major-)?faults(?::\w*)?:\s+([0-9a-f]+)(?:\s+([0-9a-f]+))?/;
const TASK = /^PERF_RECORD_(FORK|EXIT)\((\d+):(\d+)\):\((\d+):\d+\)/;
const COMM_EXEC = /^PERF_RECORD_COMM exec: (.*):(\d+)\/\d+/;
const MMAP =
  /^PERF_RECORD_MMAP2? (\d+)\/\d+: \[0x([0-9a-f]+)\(0x([0-9a-f]+)\) @ (?:0x)?([0-9a-f]+)[^\]]*\]: ([-rwxps]+) (.*)$/;

/** What one line says; null if it is not one of perf's. */
export function parsePerfLine(line: string): PerfLine | null {
  if (line.startsWith('#') || line.trim() === '') return { kind: 'other' };
  const match = HEAD.exec(line);
  if (match === null) return null;
  const [, , pid, tid, seconds, fraction, body] = match as unknown as string[];
  const head: PerfHead = {
    pid: Number(pid),
    tid: Number(tid ?? pid),
    timeNs: Number(seconds) * 1e9 + Number((fraction as string).padEnd(9, '0').slice(0, 9)),
  };
  return parseBody(head, body as string);
}

function parseBody(head: PerfHead, body: string): PerfLine {
  const fault = FAULT.exec(body);
  if (fault !== null) {
    const ip = fault[2] === undefined ? 0 : addressFromHex(fault[2]);
    return { kind: 'fault', head, addr: addressFromHex(fault[1] as string), ip };
  }
  const task = TASK.exec(body);
  if (task !== null) {
    const [pid, tid, parentPid] = [Number(task[2]), Number(task[3]), Number(task[4])];
    return task[1] === 'FORK'
      ? { kind: 'fork', head, pid, tid, parentPid }
      : { kind: 'exit', head, pid, tid };
  }
  const exec = COMM_EXEC.exec(body);
  if (exec !== null) return { kind: 'exec', head, pid: Number(exec[2]), file: exec[1] as string };
  const mmap = MMAP.exec(body);
  if (mmap === null) return { kind: 'other' };
  return { kind: 'mmap', head, pid: Number(mmap[1]), mapping: parseMapping(mmap) };
}

function parseMapping(match: RegExpExecArray): PerfMapping {
  const letters = match[5] as string;
  return {
    start: addressFromHex(match[2] as string),
    len: addressFromHex(match[3] as string),
    off: addressFromHex(match[4] as string),
    prot:
      (letters.includes('r') ? PROT_READ : 0) |
      (letters.includes('w') ? PROT_WRITE : 0) |
      (letters.includes('x') ? PROT_EXEC : 0),
    isShared: letters.includes('s'),
    name: match[6] as string,
  };
}
