/** What a line of strace's output says. */
export type StraceLine =
  | { kind: 'call'; head: StraceHead; call: string; args: string; result: string }
  | { kind: 'unfinished'; head: StraceHead; call: string; args: string }
  | { kind: 'resumed'; head: StraceHead; call: string; args: string; result: string }
  | { kind: 'exited'; head: StraceHead }
  | { kind: 'other'; head: StraceHead }
  | { kind: 'comment' };

export interface StraceHead {
  /** 0 where the line does not say. */
  tid: number;
  stamp: StraceStamp | null;
}

/** A time as strace printed it: of the day (-t, -tt), of the epoch (-ttt), or since the last line (-r). */
export interface StraceStamp {
  style: 'day' | 'epoch' | 'relative';
  seconds: number;
  ns: number;
}

const PID = /^(?:\[pid\s+(\d+)\]\s+|(\d{1,7})\s+)/;
const TIME_OF_DAY = /^(\d\d):(\d\d):(\d\d)(?:\.(\d+))?\s+/;
const SECONDS = /^\s*(\d+)\.(\d+)\s+/;
const WHOLE_SECONDS = /^(\d{8,})\s+/;
const CALL = /^(\w+)\((.*)\)\s+= (.+)$/;
const UNFINISHED = /^(\w+)\((.*?)\s*<unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)\)\s+= (.+)$/;
/** -T appends how long the call took. */
const DURATION = /\s+<\d+\.\d+>$/;

/** strace dates from 2001 on as seconds since the epoch; no program was recorded for that long. */
const EPOCH_SECONDS = 1e9;

/** What one line says; null if it is not one of strace's. */
export function parseStraceLine(line: string): StraceLine | null {
  const text = line.trimEnd();
  if (text === '' || text.startsWith('strace: ') || text.startsWith(' > '))
    return { kind: 'comment' };
  const pid = PID.exec(text);
  const tid = pid === null ? 0 : Number(pid[1] ?? pid[2]);
  const { stamp, rest } = parseStamp(pid === null ? text : text.slice(pid[0].length));
  return parseBody({ tid, stamp }, rest.replace(DURATION, ''));
}

function parseBody(head: StraceHead, body: string): StraceLine | null {
  const call = CALL.exec(body);
  if (call !== null) {
    return { kind: 'call', head, call: call[1]!, args: call[2]!, result: call[3]! };
  }
  const unfinished = UNFINISHED.exec(body);
  if (unfinished !== null)
    return { kind: 'unfinished', head, call: unfinished[1]!, args: unfinished[2]! };
  const resumed = RESUMED.exec(body);
  if (resumed !== null) {
    return { kind: 'resumed', head, call: resumed[1]!, args: resumed[2]!, result: resumed[3]! };
  }
  if (/^\+\+\+ (?:exited|killed|superseded)/.test(body)) return { kind: 'exited', head };
  if (/^(?:---|\+\+\+|<\.\.\. )/.test(body) || /^\w+\(/.test(body)) return { kind: 'other', head };
  return body.startsWith('strace: ') ? { kind: 'comment' } : null;
}

function parseStamp(text: string): { stamp: StraceStamp | null; rest: string } {
  const day = TIME_OF_DAY.exec(text);
  if (day !== null) {
    const seconds = Number(day[1]) * 3600 + Number(day[2]) * 60 + Number(day[3]);
    return {
      stamp: { style: 'day', seconds, ns: fractionNs(day[4] ?? '') },
      rest: text.slice(day[0].length),
    };
  }
  const match = SECONDS.exec(text) ?? WHOLE_SECONDS.exec(text);
  if (match === null) return { stamp: null, rest: text.trimStart() };
  const seconds = Number(match[1]);
  const style = seconds >= EPOCH_SECONDS ? 'epoch' : 'relative';
  return {
    stamp: { style, seconds, ns: fractionNs(match[2] ?? '') },
    rest: text.slice(match[0].length),
  };
}

function fractionNs(digits: string): number {
  return Number(digits.padEnd(9, '0').slice(0, 9));
}

/** Turns stamps of any style into nanoseconds since the first. */
export class StraceClock {
  #first: StraceStamp | null = null;
  #nowNs = 0;
  #dayOffset = 0;
  #lastDaySeconds = 0;

  /** -1 without a stamp. */
  timeNs(stamp: StraceStamp | null): number {
    if (stamp === null) return -1;
    if (stamp.style === 'relative') {
      if (this.#first !== null) this.#nowNs += stamp.seconds * 1e9 + stamp.ns;
      this.#first ??= stamp;
      return this.#nowNs;
    }
    this.#first ??= stamp;
    let seconds = stamp.seconds - this.#first.seconds;
    if (stamp.style === 'day') {
      // Past midnight the time of day begins anew.
      if (stamp.seconds < this.#lastDaySeconds - 43200) this.#dayOffset += 86400;
      this.#lastDaySeconds = stamp.seconds;
      seconds += this.#dayOffset;
    }
    return Math.max(0, seconds * 1e9 + stamp.ns - this.#first.ns);
  }
}
