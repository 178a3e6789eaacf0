import { errnoNumber, THP_DISABLE, THP_DISABLE_EXCEPT_ADVISED } from '../base/index.ts';
import { losesOffset, parseAddress } from './address.ts';
import { isErrnoName } from './check-event.ts';
import { Op, Outcome, SAMPLE_FIELDS, type TraceEvent } from './event.ts';
import { isWithinDepth, MAX_JSON_DEPTH } from './json-depth.ts';
import {
  MAP_WORDS,
  MLOCK_WORDS,
  MLOCKALL_WORDS,
  MREMAP_WORDS,
  parseAdvice,
  parseProt,
  parseWords,
  type WordTable,
} from './words.ts';

/** Stores one value in the event; gives what would be right if it cannot. */
type Setter = (event: TraceEvent, value: unknown) => string | null;

type NumberField =
  | 'pid'
  | 'tid'
  | 'len'
  | 'newLen'
  | 'off'
  | 'count'
  | 'strideBytes'
  | 'content'
  | 'child'
  | 'workNs';

const number =
  (field: NumberField): Setter =>
  (event, value) => {
    if (typeof value !== 'number' || !(value >= 0) || !Number.isInteger(value)) {
      return 'give an integer from 0';
    }
    event[field] = value;
    return null;
  };

const address =
  (field: 'addr' | 'newAddr'): Setter =>
  (event, value) => {
    const parsed = typeof value === 'string' ? parseAddress(value) : -1;
    if (parsed < 0) return 'give a string "0x…" of 1 to 16 hexadecimal digits';
    event[field] = parsed;
    return null;
  };

const text =
  (field: 'file' | 'name'): Setter =>
  (event, value) => {
    if (typeof value !== 'string') return 'give a string';
    event[field] = value;
    return null;
  };

const words =
  (table: WordTable): Setter =>
  (event, value) => {
    const bits = typeof value === 'string' ? parseWords(value, table) : 'not a string';
    if (typeof bits === 'string') return `give words out of: ${table.names}; or 0x… bits`;
    event.flags = bits;
    return null;
  };

const setProt: Setter = (event, value) => {
  const prot = typeof value === 'string' ? parseProt(value) : -1;
  if (prot < 0) return 'give none, r, rw, rx, rwx, w, x or wx';
  event.prot = prot;
  return null;
};

const setAdvice: Setter = (event, value) => {
  const advice = typeof value === 'string' ? parseAdvice(value) : value;
  if (
    typeof advice !== 'number' ||
    !Number.isInteger(advice) ||
    advice < 0 ||
    advice > 0x7fffffff
  ) {
    return 'give a word as in dontneed, free, hugepage, or the MADV_ number';
  }
  event.advice = advice;
  return null;
};

const setWrite: Setter = (event, value) => {
  if (typeof value !== 'boolean') return 'give true or false';
  event.isWrite = value;
  return null;
};

const flag =
  (bit: number): Setter =>
  (event, value) => {
    if (typeof value !== 'boolean') return 'give true or false';
    event.flags = value ? event.flags | bit : event.flags & ~bit;
    return null;
  };

const setOk: Setter = (event, value) => {
  if (typeof value !== 'boolean') return 'give true or false';
  event.outcome = value ? Outcome.ok : Outcome.failed;
  return null;
};

const setTime: Setter = (event, value) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    return 'give nanoseconds as an integer from 0 to 2^53';
  }
  event.timeNs = value;
  return null;
};

/** A name that base does not know leaves `errno` 0 and stays among the unknown keys. */
const setErrno: Setter = (event, value) => {
  if (typeof value !== 'string' || !isErrnoName(value)) return 'give a name such as "ENOMEM"';
  event.errno = errnoNumber(value);
  return null;
};

const setCounter =
  (field: (typeof SAMPLE_FIELDS)[number]): Setter =>
  (event, value) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      return 'give an integer from 0';
    }
    event.sample ??= {};
    event.sample[field] = value;
    return null;
  };

interface OpFields {
  readonly op: Op;
  readonly setters: ReadonlyMap<string, Setter>;
  readonly required: readonly string[];
}

const COMMON: Record<string, Setter> = {
  pid: number('pid'),
  tid: number('tid'),
  t: setTime,
  ok: setOk,
  errno: setErrno,
};

/** Keys that end in `?` may be absent. */
function opFields(op: Op, own: Record<string, Setter>): OpFields {
  const required = op === Op.mark ? [] : ['pid'];
  const setters = new Map(Object.entries(COMMON));
  for (const [key, setter] of Object.entries(own)) {
    const isOptional = key.endsWith('?');
    setters.set(isOptional ? key.slice(0, -1) : key, setter);
    if (!isOptional) required.push(key);
  }
  return { op, setters, required };
}

const range = { addr: address('addr'), len: number('len') };
const counters = Object.fromEntries(SAMPLE_FIELDS.map((field) => [`${field}?`, setCounter(field)]));

/** Which keys each op has. Everything else is kept as `extra`. */
const FIELDS_BY_OP: ReadonlyMap<string, OpFields> = new Map<string, OpFields>([
  [
    'mmap',
    opFields(Op.mmap, {
      ...range,
      prot: setProt,
      flags: words(MAP_WORDS),
      'file?': text('file'),
      'off?': number('off'),
    }),
  ],
  ['munmap', opFields(Op.munmap, range)],
  ['mprotect', opFields(Op.mprotect, { ...range, prot: setProt })],
  ['madvise', opFields(Op.madvise, { ...range, advice: setAdvice })],
  [
    'mremap',
    opFields(Op.mremap, {
      ...range,
      newLen: number('newLen'),
      'newAddr?': address('newAddr'),
      'flags?': words(MREMAP_WORDS),
    }),
  ],
  ['brk', opFields(Op.brk, { addr: address('addr'), 'len?': number('len') })],
  ['mlock', opFields(Op.mlock, { ...range, 'flags?': words(MLOCK_WORDS) })],
  ['munlock', opFields(Op.munlock, range)],
  ['mlockall', opFields(Op.mlockall, { flags: words(MLOCKALL_WORDS) })],
  ['munlockall', opFields(Op.munlockall, {})],
  [
    'prctl',
    opFields(Op.prctl, {
      thpDisable: flag(THP_DISABLE),
      'exceptAdvised?': flag(THP_DISABLE_EXCEPT_ADVISED),
    }),
  ],
  [
    'touch',
    opFields(Op.touch, {
      addr: address('addr'),
      'write?': setWrite,
      'count?': number('count'),
      'stride?': number('strideBytes'),
      'content?': number('content'),
    }),
  ],
  ['fork', opFields(Op.fork, { child: number('child'), 'vfork?': flag(1) })],
  ['exec', opFields(Op.exec, {})],
  ['exit', opFields(Op.exit, {})],
  ['truncate', opFields(Op.truncate, { file: text('file'), len: number('len') })],
  ['punch', opFields(Op.punch, { file: text('file'), off: number('off'), len: number('len') })],
  ['sample', opFields(Op.sample, counters)],
  ['mark', opFields(Op.mark, { name: text('name') })],
  ['request', opFields(Op.request, { name: text('name'), 'work?': number('workNs') })],
]);

const PAGE_ALIGNED_OPS: ReadonlySet<Op> = new Set([
  Op.mmap,
  Op.munmap,
  Op.mprotect,
  Op.madvise,
  Op.mremap,
]);

/**
 * Fills an event that is at its neutral values from one parsed line of the text form. Gives what is
 * wrong, or null. Only types and presence are judged here; `checkEvent` judges the values.
 */
export function fillFromObject(object: Record<string, unknown>, event: TraceEvent): string | null {
  const fields = typeof object.op === 'string' ? FIELDS_BY_OP.get(object.op) : undefined;
  if (fields === undefined) return unknownOp(object.op);
  event.op = fields.op;
  if (fields.op === Op.sample) event.sample = {};
  const unknown: [string, unknown][] = [];
  for (const key of Object.keys(object)) {
    if (key === 'op') continue;
    const value = object[key];
    const setter = fields.setters.get(key);
    if (setter === undefined) unknown.push([key, value]);
    else {
      const advice = setter(event, value);
      if (advice !== null) return `${object.op}: "${key}" is ${shown(value)}; ${advice}`;
      if (key === 'errno' && event.errno === 0) unknown.push([key, value]);
    }
  }
  for (const key of fields.required) {
    if (!Object.hasOwn(object, key)) return `${object.op} without "${key}"; add it`;
  }
  if (unknown.length > 0) {
    if (!unknown.every(([, value]) => isWithinDepth(value, MAX_JSON_DEPTH))) {
      return `values nest deeper than ${MAX_JSON_DEPTH}; nest less`;
    }
    event.extra = Object.fromEntries(unknown);
  }
  return checkLostOffset(object, event);
}

/** Above 2^53 the number has lost the offset in the page, so its alignment shows in the text only. */
function checkLostOffset(object: Record<string, unknown>, event: TraceEvent): string | null {
  if (!losesOffset(event.addr) || event.outcome === Outcome.failed) return null;
  if (!PAGE_ALIGNED_OPS.has(event.op) || String(object.addr).endsWith('000')) return null;
  return `addr ${String(object.addr)} is not page-aligned; give a multiple of 0x1000`;
}

function unknownOp(op: unknown): string {
  const known = [...FIELDS_BY_OP.keys()].join(', ');
  if (op === undefined) return `an event without "op"; give one of: ${known}`;
  return `unknown op ${shown(op)}; give one of: ${known}`;
}

/** A value as it may stand in a one-line message. */
export function shown(value: unknown): string {
  const json = typeof value === 'object' && value !== null ? typeof value : JSON.stringify(value);
  return json === undefined ? 'absent' : json.length > 60 ? `${json.slice(0, 57)}…` : json;
}
