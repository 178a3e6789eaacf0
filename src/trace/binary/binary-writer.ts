import { utf8Bytes } from '../../base/index.ts';
import {
  Op,
  SAMPLE_FIELDS,
  type TraceEvent,
  type TraceHeader,
  type TraceWriter,
} from '../event.ts';
import type { ByteSink } from '../text-writer.ts';
import { crc32c } from './crc32c.ts';
import {
  BLOCK_BYTES,
  BLOCK_HEAD_BYTES,
  FILE_HEAD_BYTES,
  HAS_COUNT,
  HAS_ERRNO,
  HAS_EXTRA,
  HAS_PID,
  HAS_TID,
  HAS_TIME_NS,
  HAS_TIME_US,
  IS_ABSOLUTE,
  KIND_BLOCK,
  KIND_END,
  MAGIC,
  MAX_DELTA,
  type ProcessState,
  TAG_OUTCOME_SHIFT,
  TAG_TOUCH_CONTENT,
  TAG_WRITE,
  VERSION,
} from './layout.ts';

/** No event needs more, strings aside. */
const EVENT_BYTES = 256;

/** Writes the binary form; see docs/trace.md. */
export class BinaryWriter implements TraceWriter {
  readonly #sink: ByteSink;
  #bytes = new Uint8Array(BLOCK_BYTES + 2 * EVENT_BYTES);
  #at = BLOCK_HEAD_BYTES;
  #blockEvents = 0;
  #totalEvents = 0;

  // Everything below starts anew with each block.
  readonly #states = new Map<number, ProcessState>();
  readonly #strings = new Map<string, number>();
  #pid = 0;
  #state: ProcessState = { tid: 0, addr: 0 };
  #timeNs = 0;

  constructor(sink: ByteSink, header: TraceHeader) {
    this.#sink = sink;
    sink(fileHead({ ...header, pagelab: 1 }));
  }

  write(event: TraceEvent): void {
    this.#reserve(EVENT_BYTES);
    this.#common(event);
    this.#arguments(event);
    this.#blockEvents++;
    if (this.#at >= BLOCK_BYTES) this.#endBlock();
  }

  finish(): void {
    if (this.#blockEvents > 0) this.#endBlock();
    const end = new Uint8Array(BLOCK_HEAD_BYTES);
    const view = new DataView(end.buffer);
    view.setUint8(0, KIND_END);
    view.setUint32(1, this.#totalEvents % 2 ** 32, true);
    view.setUint32(5, Math.floor(this.#totalEvents / 2 ** 32), true);
    view.setUint32(9, crc32c(end, 0, 9), true);
    this.#sink(end);
  }

  #endBlock(): void {
    const bytes = this.#bytes;
    const view = new DataView(bytes.buffer);
    view.setUint8(0, KIND_BLOCK);
    view.setUint32(1, this.#at - BLOCK_HEAD_BYTES, true);
    view.setUint32(5, this.#blockEvents, true);
    view.setUint32(9, crc32c(bytes, BLOCK_HEAD_BYTES, this.#at, crc32c(bytes, 0, 9)), true);
    this.#sink(bytes.slice(0, this.#at));
    this.#totalEvents += this.#blockEvents;
    this.#blockEvents = 0;
    this.#at = BLOCK_HEAD_BYTES;
    this.#states.clear();
    this.#strings.clear();
    this.#pid = 0;
    this.#state = { tid: 0, addr: 0 };
    this.#timeNs = 0;
  }

  #common(event: TraceEvent): void {
    const bytes = this.#bytes;
    const start = this.#at;
    const op = event.content >= 0 ? TAG_TOUCH_CONTENT : event.op;
    bytes[start] = op | (event.outcome << TAG_OUTCOME_SHIFT) | (event.isWrite ? TAG_WRITE : 0);
    this.#at += 2;
    let presence = 0;
    if (event.pid !== this.#pid) {
      presence |= HAS_PID;
      this.#varint(event.pid);
      this.#switchTo(event.pid);
    }
    if (event.tid !== this.#state.tid) {
      presence |= HAS_TID;
      this.#varint(event.tid);
      this.#state.tid = event.tid;
    }
    if (event.timeNs >= 0) presence |= this.#time(event.timeNs);
    if (event.errno !== 0) {
      presence |= HAS_ERRNO;
      this.#varint(event.errno);
    }
    if (event.extra !== null) {
      presence |= HAS_EXTRA;
      this.#raw(utf8Bytes(JSON.stringify(event.extra)));
    }
    if (event.op === Op.touch && (event.count !== 1 || event.strideBytes !== 4096)) {
      presence |= HAS_COUNT;
    }
    if (Math.abs(event.addr - this.#state.addr) > MAX_DELTA) presence |= IS_ABSOLUTE;
    this.#bytes[start + 1] = presence;
  }

  #switchTo(pid: number): void {
    let state = this.#states.get(pid);
    if (state === undefined) this.#states.set(pid, (state = { tid: 0, addr: 0 }));
    this.#pid = pid;
    this.#state = state;
  }

  /** Most clocks count microseconds: their differences are ten bits shorter. */
  #time(timeNs: number): number {
    const delta = timeNs - this.#timeNs;
    // A first time may be far from 0; the block's own 0 makes it a difference like all others.
    const isMicroseconds = delta % 1000 === 0;
    this.#zigzag(isMicroseconds ? delta / 1000 : delta);
    this.#timeNs = timeNs;
    return isMicroseconds ? HAS_TIME_US : HAS_TIME_NS;
  }

  #arguments(event: TraceEvent): void {
    switch (event.op) {
      case Op.touch:
        this.#address(event.addr);
        if (event.count !== 1 || event.strideBytes !== 4096) {
          this.#varint(event.count);
          this.#varint(event.strideBytes);
        }
        if (event.content >= 0) this.#varint(event.content);
        break;
      case Op.mmap:
        this.#range(event);
        this.#varint(event.prot);
        this.#varint(event.flags);
        this.#varint(event.off);
        this.#string(event.file);
        break;
      case Op.mprotect:
        this.#range(event);
        this.#varint(event.prot);
        break;
      case Op.madvise:
        this.#range(event);
        this.#varint(event.advice);
        break;
      case Op.mremap:
        this.#range(event);
        this.#varint(event.newLen);
        this.#varint(event.newAddr);
        this.#varint(event.flags);
        break;
      case Op.mlock:
        this.#range(event);
        this.#varint(event.flags);
        break;
      case Op.munmap:
      case Op.munlock:
      case Op.brk:
        this.#range(event);
        break;
      default:
        this.#otherArguments(event);
    }
  }

  #otherArguments(event: TraceEvent): void {
    switch (event.op) {
      case Op.mlockall:
      case Op.prctl:
        this.#varint(event.flags);
        break;
      case Op.fork:
        this.#varint(event.child);
        this.#varint(event.flags);
        break;
      case Op.truncate:
        this.#string(event.file);
        this.#varint(event.len);
        break;
      case Op.punch:
        this.#string(event.file);
        this.#varint(event.off);
        this.#varint(event.len);
        break;
      case Op.sample:
        this.#sample(event);
        break;
      case Op.mark:
        this.#string(event.name);
        break;
      case Op.request:
        this.#string(event.name);
        this.#varint(event.workNs);
        break;
      default: // exec, exit, munlockall have none
    }
  }

  #range(event: TraceEvent): void {
    this.#address(event.addr);
    this.#varint(event.len);
  }

  #address(addr: number): void {
    const delta = addr - this.#state.addr;
    if (Math.abs(delta) > MAX_DELTA) this.#varint(addr);
    else this.#zigzag(delta);
    this.#state.addr = addr;
  }

  #sample(event: TraceEvent): void {
    const sample = event.sample ?? {};
    let mask = 0;
    for (const [bit, field] of SAMPLE_FIELDS.entries()) {
      if (sample[field] !== undefined) mask |= 1 << bit;
    }
    this.#varint(mask);
    for (const field of SAMPLE_FIELDS) {
      const value = sample[field];
      if (value !== undefined) this.#varint(value);
    }
  }

  /** 0 for '', 1 and the bytes at the first use in a block, then 2, 3, … for the block's strings. */
  #string(text: string): void {
    const known = text === '' ? 0 : this.#strings.get(text);
    if (known !== undefined) {
      this.#varint(known);
      return;
    }
    this.#strings.set(text, this.#strings.size + 2);
    this.#varint(1);
    this.#raw(utf8Bytes(text));
  }

  #raw(raw: Uint8Array): void {
    this.#reserve(raw.length + EVENT_BYTES);
    this.#varint(raw.length);
    this.#bytes.set(raw, this.#at);
    this.#at += raw.length;
  }

  #zigzag(delta: number): void {
    this.#varint(delta < 0 ? -2 * delta - 1 : 2 * delta);
  }

  /** LEB128 of an integer from 0 to 2^64. */
  #varint(value: number): void {
    let rest = value;
    while (rest >= 2 ** 31) {
      const low = rest % 128;
      this.#bytes[this.#at++] = low | 128;
      rest = (rest - low) / 128;
    }
    while (rest >= 128) {
      this.#bytes[this.#at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#bytes[this.#at++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}

function fileHead(header: TraceHeader): Uint8Array {
  const json = utf8Bytes(JSON.stringify(header));
  const bytes = new Uint8Array(FILE_HEAD_BYTES + json.length + 4);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[4] = VERSION;
  view.setUint32(8, json.length, true);
  bytes.set(json, FILE_HEAD_BYTES);
  const end = FILE_HEAD_BYTES + json.length;
  view.setUint32(end, crc32c(bytes, 0, end), true);
  return bytes;
}
