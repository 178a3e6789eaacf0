import {
  ADVICE_WORDS,
  errnoName,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_FLAG_WORDS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  THP_DISABLE,
  THP_DISABLE_EXCEPT_ADVISED,
} from '../../src/base/index.ts';
import type { Answer, Subject, Window } from '../../src/lab/validate/index.ts';
import { emptyEvent, Op, type TraceEvent } from '../../src/trace/index.ts';

/**
 * Single traces as text, to be run on any subject. Statements are separated by `;`:
 *   mmap PLACE LEN [PROT] [shared reserve growsdown populate locked noreplace memfd:NAME+PAGES]
 *   munmap|dontneed|free|… PLACE LEN     mprotect PLACE LEN PROT     mlock PLACE LEN [onfault]
 *   mremap PLACE OLD NEW -> PLACE [dontunmap]      mremap PLACE OLD NEW [maymove]
 *   w|r PLACE [PAGES]      fork      exit      thp on|off|advised|except-only (PR_SET_THP_DISABLE)      truncate memfd:NAME LEN      punch memfd:NAME OFF LEN
 *   V RANGE PROT, RANGE PROT …           the mappings, all of them
 * PLACE is window.slot.page: windows 0 and 1 are neighbouring GBs, 2 and 3 lie in other 512 GB
 * regions. LEN is in pages, or slots (2 MB) with an s: `2s+10`. mmap gives private anonymous NORESERVE
 * memory, rw, at a fixed place, unless told otherwise. `2:` before a statement names the process
 * (1 if not given); children are numbered from 2.
 * Behind `=>` stands what must come out: `ok` or an error's name, `12/3` (kB of VmPTE, present pages),
 * `guards=1`, `anon=8`, `shmem=16` (kB). `2: => 12/9` only looks.
 */
export interface OracleCase {
  /** The rule's number in docs/validate.md. */
  readonly rule: string;
  readonly script: string;
}

/** Cases of one rule. */
export function group(rule: string, scripts: readonly string[]): OracleCase[] {
  return scripts.map((script) => ({ rule, script: script.replace(/\s+/g, ' ') }));
}

const PAGE = 4096;
const BASE_ADDR = 0x100000000000;
const GIB = 2 ** 30;
const WINDOW_ADDRS = [0, GIB, 512 * GIB, 1024 * GIB].map((at) => BASE_ADDR + at);
/** One window over all: cases count every page. */
const ALL: readonly Window[] = [{ startAddr: BASE_ADDR, endAddr: BASE_ADDR + 2048 * GIB }];

/** Runs a case on a fresh subject; what differs from the expected, one line each. */
export function checkCase(oracleCase: OracleCase, subject: Subject): string[] {
  const problems: string[] = [];
  let childCount = 0;
  for (const text of oracleCase.script.split(';')) {
    const statement = parseStatement(text.trim());
    const { pid, expected } = statement;
    const wrong = (what: string): void => {
      problems.push(`${oracleCase.rule}: '${text.trim()}': ${what}`);
    };
    if (statement.vmas !== null) {
      const got = subject.observe(pid, ALL).vmas.map((row) => rangeText(row[0], row[1], row[2]));
      if (got.join(', ') !== statement.vmas) wrong(`got ${got.join(', ')}`);
      continue;
    }
    if (statement.event !== null) {
      const event = { ...statement.event };
      if (event.op === Op.fork) event.child = 2 + childCount++;
      const outcome = outcomeText(subject.apply(event));
      if (expected.outcome !== '' && outcome !== expected.outcome) wrong(`got ${outcome}`);
    }
    for (const difference of observed(subject, pid, expected)) wrong(difference);
  }
  return problems;
}

/** What a subject answers and counts after each statement of a script, one line each: for finding rules. */
export function traceCase(script: string, subject: Subject): string[] {
  const lines: string[] = [];
  let childCount = 0;
  const live = new Set([1]);
  for (const text of script.split(';')) {
    const { event } = parseStatement(text.trim());
    if (event === null) continue;
    if (event.op === Op.fork) live.add((event.child = 2 + childCount++));
    let line = `${text.trim()} => ${outcomeText(subject.apply(event))}`;
    if (event.op === Op.exit) live.delete(event.pid);
    for (const pid of live) {
      const seen = subject.observe(pid, ALL);
      line += ` | ${pid}: ${seen.vmPteKiB}/${seen.present[0]} guards=${seen.swapped[0]}`;
      line += ` anon=${seen.rssAnonKiB} shmem=${seen.rssShmemKiB} V `;
      line += seen.vmas.map((row) => rangeText(row[0], row[1], row[2])).join(', ');
    }
    lines.push(line);
  }
  return lines;
}

interface Expected {
  outcome: string;
  counters: Map<string, number>;
}

interface Statement {
  readonly pid: number;
  readonly event: TraceEvent | null;
  readonly vmas: string | null;
  readonly expected: Expected;
}

function observed(subject: Subject, pid: number, expected: Expected): string[] {
  if (expected.counters.size === 0) return [];
  const seen = subject.observe(pid, ALL);
  const values: Readonly<Record<string, number>> = {
    pte: seen.vmPteKiB,
    present: seen.present[0]!,
    guards: seen.swapped[0]!,
    anon: seen.rssAnonKiB,
    shmem: seen.rssShmemKiB,
  };
  return [...expected.counters]
    .filter(([name, value]) => values[name] !== value)
    .map(([name, value]) => `${name} should be ${value}, is ${values[name]}`);
}

function parseStatement(text: string): Statement {
  const [, who, body = ''] = /^(?:(\d+):)?\s*(.*)$/s.exec(text)!;
  const pid = who === undefined ? 1 : Number(who);
  if (body.startsWith('V')) {
    return { pid, event: null, vmas: body.slice(1).trim(), expected: parseExpected('') };
  }
  const [call = '', wanted = ''] = body.split('=>').map((part) => part.trim());
  const event = call === '' ? null : parseCall(call, pid);
  return { pid, event, vmas: null, expected: parseExpected(wanted) };
}

function parseExpected(text: string): Expected {
  const expected: Expected = { outcome: '', counters: new Map() };
  for (const word of text.split(' ').filter((part) => part !== '')) {
    const [name = '', value] = word.split('=');
    if (value !== undefined) expected.counters.set(name, Number(value));
    else if (word.includes('/')) {
      const [pte, present] = word.split('/').map(Number);
      expected.counters.set('pte', pte!).set('present', present!);
    } else expected.outcome = word;
  }
  return expected;
}

function parseCall(text: string, pid: number): TraceEvent {
  const words = text.split(/\s+/);
  const [verb = '', place = '', size = ''] = words;
  const event = { ...emptyEvent(), pid };
  if (verb === 'fork') return { ...event, op: Op.fork };
  if (verb === 'exit') return { ...event, op: Op.exit };
  if (verb === 'thp') return { ...event, op: Op.prctl, flags: THP_FLAGS[place]! };
  if (verb === 'truncate') return { ...event, op: Op.truncate, file: place, len: bytesOf(size) };
  if (verb === 'punch') {
    const [off, len] = [size, words[3]!].map(bytesOf);
    return { ...event, op: Op.punch, file: place, off: off!, len: len! };
  }
  event.addr = addrOf(place);
  if (verb === 'w' || verb === 'r') {
    return { ...event, op: Op.touch, isWrite: verb === 'w', count: Number(size || 1) };
  }
  event.len = bytesOf(size);
  const rest = words.slice(3);
  if (verb === 'mmap') return parseMmap(event, rest);
  if (verb === 'mremap') return parseMremap(event, rest);
  if (verb === 'munmap') return { ...event, op: Op.munmap };
  if (verb === 'mprotect') return { ...event, op: Op.mprotect, prot: protOf(rest[0]!) };
  if (verb === 'munlock') return { ...event, op: Op.munlock };
  if (verb === 'mlock') {
    return { ...event, op: Op.mlock, flags: rest[0] === 'onfault' ? MLOCK_ONFAULT : 0 };
  }
  const advice = ADVICE_WORDS[verb];
  if (advice === undefined) throw new Error(`no statement '${verb}'`);
  return { ...event, op: Op.madvise, advice };
}

const THP_FLAGS: Readonly<Record<string, number>> = {
  on: 0,
  off: THP_DISABLE,
  advised: THP_DISABLE | THP_DISABLE_EXCEPT_ADVISED,
  'except-only': THP_DISABLE_EXCEPT_ADVISED,
};

function parseMmap(event: TraceEvent, words: readonly string[]): TraceEvent {
  const mmap = { ...event, op: Op.mmap, prot: PROT_READ | PROT_WRITE };
  let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  for (const word of words) {
    if (/^(none|[rwx]+)$/.test(word)) mmap.prot = protOf(word);
    else if (word === 'reserve') flags &= ~MAP_NORESERVE;
    else if (word === 'noreplace') flags = (flags & ~MAP_FIXED) | MAP_FIXED_NOREPLACE;
    else if (word === 'shared') flags = (flags & ~MAP_PRIVATE) | MAP_FLAG_WORDS['shared']!;
    else if (word.startsWith('memfd:')) {
      const [name = '', pages = '0'] = word.split('+');
      mmap.file = name;
      mmap.off = Number(pages) * PAGE;
      flags &= ~MAP_ANONYMOUS;
    } else flags |= MAP_FLAG_WORDS[word]!;
  }
  return { ...mmap, flags };
}

/** `NEW -> PLACE [dontunmap]` or `NEW [maymove]`. */
function parseMremap(event: TraceEvent, words: readonly string[]): TraceEvent {
  const mremap = { ...event, op: Op.mremap, newLen: bytesOf(words[0]!) };
  if (words[1] !== '->') return { ...mremap, flags: words[1] === 'maymove' ? MREMAP_MAYMOVE : 0 };
  const dontUnmap = words[3] === 'dontunmap' ? MREMAP_DONTUNMAP : 0;
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED | dontUnmap;
  return { ...mremap, flags, newAddr: addrOf(words[2]!) };
}

/** `1.20.3`, and `1.20.3+17` for 17 bytes into that page. */
function addrOf(place: string): number {
  const [spot = '', bytes = '0'] = place.split('+');
  const [window, slot, page] = spot.split('.').map(Number);
  return WINDOW_ADDRS[window!]! + (slot! * 512 + page!) * PAGE + Number(bytes);
}

/** `3`, `2s`, `2s+10`, `17B` (bytes). */
function bytesOf(length: string): number {
  return length
    .split('+')
    .map((part) => {
      if (part.endsWith('B')) return Number(part.slice(0, -1));
      return Number.parseInt(part, 10) * PAGE * (part.endsWith('s') ? 512 : 1);
    })
    .reduce((sum, bytes) => sum + bytes, 0);
}

function protOf(word: string): number {
  if (word === 'none') return 0;
  const bits: Readonly<Record<string, number>> = { r: PROT_READ, w: PROT_WRITE, x: PROT_EXEC };
  return [...word].reduce((prot, letter) => prot | bits[letter]!, 0);
}

function outcomeText(answer: Answer): string {
  if (answer.ok) return 'ok';
  return answer.errno === 0 ? 'fault' : errnoName(answer.errno);
}

function rangeText(startAddr: number, endAddr: number, prot: string): string {
  return `${placeText(startAddr)}-${placeText(endAddr).replace(/^\d+\./, '')} ${prot}`;
}

function placeText(addr: number): string {
  const window = WINDOW_ADDRS.findLastIndex((start) => addr >= start);
  const page = (addr - WINDOW_ADDRS[window]!) / PAGE;
  return `${window}.${Math.floor(page / 512)}.${page % 512}`;
}
