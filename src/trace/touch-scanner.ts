import { Op, Outcome, type TraceEvent } from './event.ts';

/**
 * Reads the most common line of a trace straight from its bytes:
 * `{"op":"touch","pid":1,"addr":"0x7f0000000000","write":true,"ok":true}`, `op` first, its other
 * known keys in any order, no spaces. Anything else is left to JSON, which also finds what is wrong
 * with it, so this scanner never reports an error. (Measured: docs/trace.md, "Speed".)
 */

const PREFIX = bytesOf('{"op":"touch"');
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const CLOSE = 0x7d;

// A key of up to six bytes read as one base-256 number: exact, so no string is made to compare.
const KEY_PID = keyNumber('pid');
const KEY_TID = keyNumber('tid');
const KEY_T = keyNumber('t');
const KEY_ADDR = keyNumber('addr');
const KEY_OK = keyNumber('ok');
const KEY_WRITE = keyNumber('write');
const KEY_COUNT = keyNumber('count');
const KEY_STRIDE = keyNumber('stride');

const TRUE = bytesOf('true');
const FALSE = bytesOf('false');

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function keyNumber(key: string): number {
  return bytesOf(key).reduce((number, byte) => number * 256 + byte, 0);
}

export class TouchScanner {
  #bytes = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /** Fills an event that is at its neutral values. False: not such a line, the event is spoilt. */
  scan(bytes: Uint8Array<ArrayBuffer>, start: number, end: number, event: TraceEvent): boolean {
    this.#bytes = bytes;
    this.#end = end;
    if (!this.#isWordAt(start, PREFIX)) return false;
    this.#at = start + PREFIX.length;
    event.op = Op.touch;
    let hasPid = false;
    let hasAddr = false;
    while (bytes[this.#at] === COMMA) {
      this.#at++;
      const key = this.#key();
      if (!this.#value(key, event)) return false;
      if (key === KEY_PID) hasPid = true;
      else if (key === KEY_ADDR) hasAddr = true;
    }
    return hasPid && hasAddr && bytes[this.#at] === CLOSE && this.#at + 1 === end;
  }

  #value(key: number, event: TraceEvent): boolean {
    switch (key) {
      case KEY_PID:
        return (event.pid = this.#integer()) >= 0;
      case KEY_TID:
        return (event.tid = this.#integer()) >= 0;
      case KEY_T:
        return (event.timeNs = this.#integer()) >= 0;
      case KEY_ADDR:
        return (event.addr = this.#address()) >= 0;
      case KEY_WRITE:
        return this.#isBooleanNext() && this.#setWrite(event);
      case KEY_OK:
        return this.#isBooleanNext() && this.#setOk(event);
      case KEY_COUNT:
        return (event.count = this.#integer()) >= 0;
      case KEY_STRIDE:
        return (event.strideBytes = this.#integer()) >= 0;
      default:
        return false;
    }
  }

  /** The key and its colon; 0 if it is longer than six bytes or not a key. */
  #key(): number {
    const bytes = this.#bytes;
    if (bytes[this.#at] !== QUOTE) return 0;
    let key = 0;
    for (let i = 1; i <= 7; i++) {
      const byte = bytes[this.#at + i] as number;
      if (byte === QUOTE) {
        if (bytes[this.#at + i + 1] !== COLON) return 0;
        this.#at += i + 2;
        return key;
      }
      key = key * 256 + byte;
    }
    return 0;
  }

  /** Up to 15 digits without sign, fraction or leading zero; -1 for anything else. */
  #integer(): number {
    const bytes = this.#bytes;
    const start = this.#at;
    let value = 0;
    let digit = (bytes[this.#at] as number) - 0x30;
    while (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digit = (bytes[++this.#at] as number) - 0x30;
    }
    const length = this.#at - start;
    const hasLeadingZero = length > 1 && bytes[start] === 0x30;
    return length >= 1 && length <= 15 && !hasLeadingZero ? value : -1;
  }

  /** `"0x…"` with up to 13 digits, which a number holds exactly; -1 for anything else. */
  #address(): number {
    const bytes = this.#bytes;
    let at = this.#at;
    if (bytes[at] !== QUOTE || bytes[at + 1] !== 0x30 || bytes[at + 2] !== 0x78) return -1;
    at += 3;
    const start = at;
    let value = 0;
    for (; ; at++) {
      const byte = bytes[at] as number;
      if (byte >= 0x30 && byte <= 0x39) value = value * 16 + (byte - 0x30);
      else if (byte >= 0x61 && byte <= 0x66) value = value * 16 + (byte - 0x57);
      else if (byte >= 0x41 && byte <= 0x46) value = value * 16 + (byte - 0x37);
      else break;
    }
    if (at === start || at - start > 13 || bytes[at] !== QUOTE) return -1;
    this.#at = at + 1;
    return value;
  }

  #isBooleanNext(): boolean {
    return this.#isWordAt(this.#at, TRUE) || this.#isWordAt(this.#at, FALSE);
  }

  #takeBoolean(): boolean {
    const isTrue = this.#bytes[this.#at] === TRUE[0];
    this.#at += isTrue ? 4 : 5;
    return isTrue;
  }

  #setWrite(event: TraceEvent): true {
    event.isWrite = this.#takeBoolean();
    return true;
  }

  #setOk(event: TraceEvent): true {
    event.outcome = this.#takeBoolean() ? Outcome.ok : Outcome.failed;
    return true;
  }

  #isWordAt(at: number, word: Uint8Array): boolean {
    if (at + word.length > this.#end) return false;
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[at + i] !== word[i]) return false;
    }
    return true;
  }
}
