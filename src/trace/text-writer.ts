import { errnoName, THP_DISABLE, THP_DISABLE_EXCEPT_ADVISED, utf8Bytes } from '../base/index.ts';
import { formatAddress } from './address.ts';
import {
  OP_NAMES,
  Op,
  Outcome,
  type TraceEvent,
  type TraceHeader,
  type TraceWriter,
} from './event.ts';
import {
  formatAdvice,
  formatProt,
  formatWords,
  MAP_WORDS,
  MLOCK_WORDS,
  MLOCKALL_WORDS,
  MREMAP_WORDS,
} from './words.ts';

/** Takes the bytes of a trace file as they come. */
export type ByteSink = (bytes: Uint8Array) => void;

const FLUSH_CHARS = 1 << 16;

/** Writes the text form (NDJSON, one event a line). */
export class TextWriter implements TraceWriter {
  readonly #sink: ByteSink;
  #pending: string;

  constructor(sink: ByteSink, header: TraceHeader) {
    this.#sink = sink;
    this.#pending = JSON.stringify({ ...header, pagelab: 1 }) + '\n';
  }

  write(event: TraceEvent): void {
    this.#pending += formatEvent(event) + '\n';
    if (this.#pending.length >= FLUSH_CHARS) this.#flush();
  }

  finish(): void {
    this.#flush();
  }

  #flush(): void {
    if (this.#pending !== '') this.#sink(utf8Bytes(this.#pending));
    this.#pending = '';
  }
}

/** One event as a line of the text form, without the line end. */
export function formatEvent(event: TraceEvent): string {
  let line = `{"op":"${OP_NAMES[event.op]}"`;
  if (event.pid !== 0) line += `,"pid":${event.pid}`;
  if (event.tid !== 0) line += `,"tid":${event.tid}`;
  if (event.timeNs >= 0) line += `,"t":${event.timeNs}`;
  line += formatArguments(event);
  if (event.outcome !== Outcome.unknown) line += `,"ok":${event.outcome === Outcome.ok}`;
  if (event.errno !== 0) line += `,"errno":"${errnoName(event.errno)}"`;
  if (event.extra !== null) {
    const extra = JSON.stringify(event.extra);
    if (extra.length > 2) line += ',' + extra.slice(1, -1);
  }
  return line + '}';
}

function formatArguments(event: TraceEvent): string {
  switch (event.op) {
    case Op.touch:
      return formatTouch(event);
    case Op.mmap:
      return formatMmap(event);
    case Op.mprotect:
      return `${formatRange(event)},"prot":"${formatProt(event.prot)}"`;
    case Op.madvise:
      return `${formatRange(event)},"advice":${JSON.stringify(formatAdvice(event.advice))}`;
    case Op.mremap:
      return formatMremap(event);
    case Op.brk:
      return `,"addr":"${formatAddress(event.addr)}"${event.len === 0 ? '' : `,"len":${event.len}`}`;
    case Op.munmap:
    case Op.munlock:
      return formatRange(event);
    case Op.mlock:
      return formatRange(event) + formatFlags(formatWords(event.flags, MLOCK_WORDS));
    case Op.mlockall:
      return `,"flags":"${formatWords(event.flags, MLOCKALL_WORDS)}"`;
    case Op.prctl:
      return formatThpDisable(event.flags);
    case Op.fork:
      return `,"child":${event.child}${event.flags === 0 ? '' : ',"vfork":true'}`;
    case Op.truncate:
      return `,"file":${JSON.stringify(event.file)},"len":${event.len}`;
    case Op.punch:
      return `,"file":${JSON.stringify(event.file)},"off":${event.off},"len":${event.len}`;
    case Op.sample:
      return formatSample(event);
    case Op.mark:
      return `,"name":${JSON.stringify(event.name)}`;
    case Op.request:
      return `,"name":${JSON.stringify(event.name)},"work":${event.workNs}`;
    default:
      return '';
  }
}

function formatRange(event: TraceEvent): string {
  return `,"addr":"${formatAddress(event.addr)}","len":${event.len}`;
}

function formatFlags(words: string): string {
  return words === '' ? '' : `,"flags":"${words}"`;
}

function formatThpDisable(flags: number): string {
  const except = (flags & THP_DISABLE_EXCEPT_ADVISED) !== 0 ? ',"exceptAdvised":true' : '';
  return `,"thpDisable":${(flags & THP_DISABLE) !== 0}${except}`;
}

function formatTouch(event: TraceEvent): string {
  let text = `,"addr":"${formatAddress(event.addr)}","write":${event.isWrite}`;
  if (event.count !== 1) text += `,"count":${event.count}`;
  if (event.strideBytes !== 4096) text += `,"stride":${event.strideBytes}`;
  if (event.content >= 0) text += `,"content":${event.content}`;
  return text;
}

function formatMmap(event: TraceEvent): string {
  let text = formatRange(event);
  text += `,"prot":"${formatProt(event.prot)}","flags":"${formatWords(event.flags, MAP_WORDS)}"`;
  if (event.file !== '') text += `,"file":${JSON.stringify(event.file)}`;
  if (event.off !== 0) text += `,"off":${event.off}`;
  return text;
}

function formatMremap(event: TraceEvent): string {
  let text = `${formatRange(event)},"newLen":${event.newLen}`;
  if (event.newAddr !== 0) text += `,"newAddr":"${formatAddress(event.newAddr)}"`;
  return text + formatFlags(formatWords(event.flags, MREMAP_WORDS));
}

function formatSample(event: TraceEvent): string {
  const json = JSON.stringify(event.sample);
  return json === '{}' ? '' : ',' + json.slice(1, -1);
}
