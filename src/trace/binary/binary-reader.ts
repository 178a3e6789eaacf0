import { utf8Text } from '../../base/index.ts';
import { checkEvent } from '../check-event.ts';
import {
  emptyEvent,
  OP_NAMES,
  Op,
  type Outcome,
  SAMPLE_FIELDS,
  type Sample,
  type TraceEvent,
  type TraceHeader,
  type TraceReader,
} from '../event.ts';
import { isWithinDepth, MAX_JSON_DEPTH } from '../json-depth.ts';
import { LifeCheck } from '../life-check.ts';
import { resetEvent } from '../record.ts';
import { BlockSource } from './block-source.ts';
import {
  BLOCK_HEAD_BYTES,
  HAS_COUNT,
  HAS_ERRNO,
  HAS_EXTRA,
  HAS_PID,
  HAS_TID,
  HAS_TIME_NS,
  HAS_TIME_US,
  IS_ABSOLUTE,
  MAX_STRING_BYTES,
  type ProcessState,
  TAG_OP_MASK,
  TAG_OUTCOME_SHIFT,
  TAG_TOUCH_CONTENT,
  TAG_WRITE,
} from './layout.ts';

/**
 * Reads the binary form; see docs/trace.md. Blocks are checked before their events are decoded, so
 * only a file that was written wrong on purpose can fail in the middle of one.
 */
export class BinaryReader implements TraceReader {
  readonly header: TraceHeader;
  readonly #blocks: BlockSource;
  readonly #life = new LifeCheck('event');
  readonly #event: TraceEvent = emptyEvent();
  #eventNumber = 0;
  #isEnded = false;

  /** The block's bytes, kept here as every field is read from them. */
  #bytes = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #eventsLeft = 0;

  // Everything below starts anew with each block.
  readonly #states = new Map<number, ProcessState>();
  #strings: string[] = [];
  #pid = 0;
  #state: ProcessState = { tid: 0, addr: 0 };
  #timeNs = 0;

  /** `name` is the file's, for messages. Throws InputError if the file's head is wrong. */
  constructor(name: string, chunks: Iterable<Uint8Array>) {
    this.#blocks = new BlockSource(name, chunks);
    this.header = this.#blocks.header;
  }

  next(): TraceEvent | null {
    if (this.#eventsLeft === 0 && !this.#nextBlock()) return null;
    const event = this.#event;
    this.#eventsLeft--;
    event.line = ++this.#eventNumber;
    this.#decode(event);
    const problem = checkEvent(event) ?? this.#life.check(event);
    if (problem !== null) this.#failHere(problem);
    if (this.#at > this.#end) this.#failHere('the event reaches beyond its block');
    if (this.#eventsLeft === 0 && this.#at !== this.#end) {
      this.#failHere('bytes are left in the block after its last event');
    }
    return event;
  }

  #nextBlock(): boolean {
    if (this.#isEnded || !this.#blocks.next()) {
      this.#isEnded = true;
      return false;
    }
    this.#bytes = this.#blocks.bytes;
    this.#at = BLOCK_HEAD_BYTES;
    this.#end = this.#blocks.end;
    this.#eventsLeft = this.#blocks.events;
    this.#states.clear();
    this.#strings = [];
    this.#pid = 0;
    this.#state = { tid: 0, addr: 0 };
    this.#timeNs = 0;
    return true;
  }

  #decode(event: TraceEvent): void {
    const bytes = this.#bytes;
    const tag = bytes[this.#at] as number;
    const presence = bytes[this.#at + 1] as number;
    this.#at += 2;
    const tagOp = tag & TAG_OP_MASK;
    const hasContent = tagOp === TAG_TOUCH_CONTENT;
    const op = hasContent ? Op.touch : tagOp;
    // Of a touch after a touch only the fields set below can differ.
    if (op !== Op.touch || event.op !== Op.touch || event.extra !== null) resetEvent(event);
    event.op = op as Op;
    const outcome = (tag >>> TAG_OUTCOME_SHIFT) & 3;
    if (outcome === 3) this.#failHere('an outcome that does not exist');
    event.outcome = outcome as Outcome;
    if ((presence & HAS_PID) !== 0) this.#switchTo(this.#varint());
    const state = this.#state;
    if ((presence & HAS_TID) !== 0) state.tid = this.#varint();
    event.pid = this.#pid;
    event.tid = state.tid;
    event.timeNs = (presence & (HAS_TIME_NS | HAS_TIME_US)) !== 0 ? this.#time(presence) : -1;
    event.errno = (presence & HAS_ERRNO) !== 0 ? this.#varint() : 0;
    if ((presence & HAS_EXTRA) !== 0) event.extra = this.#extra();
    if (op !== Op.touch) {
      this.#arguments(event, presence);
      return;
    }
    event.isWrite = (tag & TAG_WRITE) !== 0;
    event.addr = this.#address(presence);
    const hasCount = (presence & HAS_COUNT) !== 0;
    event.count = hasCount ? this.#varint() : 1;
    event.strideBytes = hasCount ? this.#varint() : 4096;
    event.content = hasContent ? this.#varint() : -1;
  }

  #arguments(event: TraceEvent, presence: number): void {
    switch (event.op) {
      case Op.mmap:
        this.#range(event, presence);
        event.prot = this.#bits();
        event.flags = this.#bits();
        event.off = this.#varint();
        event.file = this.#string();
        break;
      case Op.mprotect:
        this.#range(event, presence);
        event.prot = this.#bits();
        break;
      case Op.madvise:
        this.#range(event, presence);
        event.advice = this.#bits();
        break;
      case Op.mremap:
        this.#range(event, presence);
        event.newLen = this.#varint();
        event.newAddr = this.#varint();
        event.flags = this.#bits();
        break;
      case Op.mlock:
        this.#range(event, presence);
        event.flags = this.#bits();
        break;
      case Op.munmap:
      case Op.munlock:
      case Op.brk:
        this.#range(event, presence);
        break;
      default:
        this.#otherArguments(event);
    }
  }

  #otherArguments(event: TraceEvent): void {
    switch (event.op) {
      case Op.mlockall:
      case Op.prctl:
        event.flags = this.#bits();
        break;
      case Op.fork:
        event.child = this.#varint();
        event.flags = this.#bits();
        break;
      case Op.truncate:
        event.file = this.#string();
        event.len = this.#varint();
        break;
      case Op.punch:
        event.file = this.#string();
        event.off = this.#varint();
        event.len = this.#varint();
        break;
      case Op.sample:
        event.sample = this.#sample();
        break;
      case Op.mark:
        event.name = this.#string();
        break;
      case Op.request:
        event.name = this.#string();
        event.workNs = this.#varint();
        break;
      default:
        if (OP_NAMES[event.op] === undefined) this.#failHere(`unknown op number ${event.op}`);
    }
  }

  #switchTo(pid: number): void {
    let state = this.#states.get(pid);
    if (state === undefined) this.#states.set(pid, (state = { tid: 0, addr: 0 }));
    this.#pid = pid;
    this.#state = state;
  }

  #time(presence: number): number {
    const delta = this.#zigzag();
    this.#timeNs += (presence & HAS_TIME_US) !== 0 ? delta * 1000 : delta;
    if (!(this.#timeNs >= 0 && this.#timeNs <= Number.MAX_SAFE_INTEGER)) {
      this.#failHere('a time outside 0 to 2^53 ns');
    }
    return this.#timeNs;
  }

  #range(event: TraceEvent, presence: number): void {
    event.addr = this.#address(presence);
    event.len = this.#varint();
  }

  #address(presence: number): number {
    const isAbsolute = (presence & IS_ABSOLUTE) !== 0;
    const addr = isAbsolute ? this.#varint() : this.#state.addr + this.#zigzag();
    if (!(addr >= 0 && addr < 2 ** 64)) this.#failHere('an address outside 64 bits');
    this.#state.addr = addr;
    return addr;
  }

  #sample(): Sample {
    const mask = this.#varint();
    if (mask >= 1 << SAMPLE_FIELDS.length) this.#failHere('a sample with unknown counters');
    const sample: Sample = {};
    for (const [bit, field] of SAMPLE_FIELDS.entries()) {
      if ((mask & (1 << bit)) !== 0) sample[field] = this.#varint();
    }
    return sample;
  }

  #string(): string {
    const code = this.#varint();
    if (code === 0) return '';
    if (code === 1) {
      const text = this.#rawText();
      this.#strings.push(text);
      return text;
    }
    const text = this.#strings[code - 2];
    return text ?? this.#failHere(`string ${code} has not been given`);
  }

  #extra(): Readonly<Record<string, unknown>> {
    let extra: unknown;
    try {
      extra = JSON.parse(this.#rawText());
    } catch {
      extra = null;
    }
    const isObject = typeof extra === 'object' && extra !== null && !Array.isArray(extra);
    if (!isObject || !isWithinDepth(extra, MAX_JSON_DEPTH + 1)) {
      this.#failHere('the extra keys are not a JSON object');
    }
    return extra as Record<string, unknown>;
  }

  #rawText(): string {
    const length = this.#varint();
    if (length > MAX_STRING_BYTES || this.#at + length > this.#end) {
      this.#failHere(`a string of ${length} bytes reaches beyond its block`);
    }
    const start = this.#at;
    this.#at += length;
    return utf8Text(this.#bytes.subarray(start, this.#at));
  }

  /** A bit set or small number of at most 32 bits. */
  #bits(): number {
    const bits = this.#varint();
    return bits < 2 ** 32 ? bits : this.#failHere('a bit set of more than 32 bits');
  }

  #zigzag(): number {
    const folded = this.#varint();
    if (folded < 2 ** 31) return (folded >>> 1) ^ -(folded & 1);
    const isOdd = folded % 2 !== 0;
    return isOdd ? -(folded + 1) / 2 : folded / 2;
  }

  /** LEB128. Reading beyond the block gives zeros or old bytes; `next` sees it by `#at`. */
  #varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at++] as number;
    if (byte < 128) return byte;
    let value = byte & 127;
    for (let shift = 7; shift < 28; shift += 7) {
      byte = bytes[this.#at++] as number;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    return this.#longVarint(value);
  }

  #longVarint(low: number): number {
    let value = low;
    let scale = 2 ** 28;
    for (let i = 4; i < 10; i++) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    this.#failHere('a number of more than 64 bits');
  }

  #failHere(problem: string): never {
    this.#blocks.fail(this.#blocks.offset + this.#at, `event ${this.#eventNumber}: ${problem}`);
  }
}
