import type { TableImage } from './table-image.ts';

/**
 * Compresses the entries of a last-level table. What an entry says is known, so the coder is made
 * for it: neighbours mostly have the same flags, and frames or swap slots that follow each other
 * (a batch from the buddy counts up, a list of freed frames often down) or lie near each other.
 *
 * A sequence of tokens, each for `n` entries at indexes one after the other with the same flags:
 *
 *   varint  gap << 1 | hasFlags      empty entries before it; then a byte of flags if they changed
 *   varint  (n - 1) << 2 | kind      how each word differs from the one before it:
 *     kind 0, 1, 2   zigzag varint for the first; the others by 0, +1, -1
 *     kind 3         zigzag varint each
 *
 * A varint has seven bits a byte, low ones first. Entries that are none take nothing but their gap.
 * The end is not marked: the reader knows the number of entries.
 */
const KIND_EACH = 3;
/** A step that goes on for that many words is worth a token of its own. */
const WORTH_A_TOKEN = 4;

/** Bytes that `encodeImage` may write: a token for each entry, at ten bytes. */
export const ENCODED_MAX_BYTES = 512 * 10;

/** Writes the image into `out` and returns the number of bytes. */
export function encodeImage(image: TableImage, out: Uint8Array): number {
  const { index, flags, count } = image;
  let at = 0;
  let expected = 0;
  let lastFlags = -1;
  for (let i = 0; i < count; ) {
    const flag = flags[i] as number;
    const gap = (index[i] as number) - expected;
    // Entries that stand one after the other and have the same flags.
    let end = i + 1;
    while (end < count && flags[end] === flag && index[end] === (index[end - 1] as number) + 1) {
      end++;
    }
    at = putHead(out, at, gap, flag, lastFlags);
    if (end === i + 1) at = putSingle(image.word, i, out, at);
    else at = putSpan(image.word, i, end, out, at);
    lastFlags = flag;
    expected = (index[end - 1] as number) + 1;
    i = end;
  }
  return at;
}

function putHead(out: Uint8Array, to: number, gap: number, flag: number, last: number): number {
  let at = putVarint(out, to, (gap << 1) | (flag === last ? 0 : 1));
  if (flag !== last) out[at++] = flag;
  return at;
}

/** One entry with gaps around it, the usual one of a sparse table: as `putSpan`, without the search. */
function putSingle(word: Int32Array, at: number, out: Uint8Array, to: number): number {
  const before = at === 0 ? 0 : (word[at - 1] as number);
  out[to] = 0;
  return putVarint(out, to + 1, zigzag(((word[at] as number) - before) | 0));
}

/**
 * Writes the words [from, end), whose first token has its head already: steps of 0, +1 or -1 that go
 * on for long enough as one token, the words between them as one token each.
 */
function putSpan(word: Int32Array, from: number, end: number, out: Uint8Array, to: number): number {
  let at = to;
  // The first word of all differs from 0.
  let before = from === 0 ? 0 : (word[from - 1] as number);
  let isFirst = true;
  let literals = from;
  for (let p = from; p < end; ) {
    const kind = p + 1 < end ? kindOf(((word[p + 1] as number) - (word[p] as number)) | 0) : 0;
    const n = kind === KIND_EACH ? 1 : stepLength(word, p, end, kind);
    if (n < WORTH_A_TOKEN && !(p === literals && p + n === end)) {
      p += Math.max(1, n - 1);
      continue;
    }
    if (p > literals) {
      if (!isFirst) out[at++] = 0;
      at = putLiterals(word, literals, p, before, out, at);
      before = word[p - 1] as number;
      isFirst = false;
    }
    // No gap, the same flags.
    if (!isFirst) out[at++] = 0;
    isFirst = false;
    at = putVarint(out, at, ((n - 1) << 2) | kind);
    at = putVarint(out, at, zigzag(((word[p] as number) - before) | 0));
    p += n;
    literals = p;
    before = word[p - 1] as number;
  }
  if (literals === end) return at;
  if (!isFirst) out[at++] = 0;
  return putLiterals(word, literals, end, before, out, at);
}

function kindOf(delta: number): number {
  return delta === 0 ? 0 : delta === 1 ? 1 : delta === -1 ? 2 : KIND_EACH;
}

function deltaOf(kind: number): number {
  return kind === 2 ? -1 : kind;
}

function stepLength(word: Int32Array, from: number, end: number, kind: number): number {
  const delta = deltaOf(kind);
  let to = from + 1;
  while (to < end && word[to] === (((word[to - 1] as number) + delta) | 0)) to++;
  return to - from;
}

function putLiterals(
  word: Int32Array,
  from: number,
  end: number,
  before: number,
  out: Uint8Array,
  to: number,
): number {
  let at = putVarint(out, to, ((end - from - 1) << 2) | KIND_EACH);
  let last = before;
  for (let i = from; i < end; i++) {
    const value = word[i] as number;
    at = putVarint(out, at, zigzag((value - last) | 0));
    last = value;
  }
  return at;
}

function zigzag(delta: number): number {
  return (delta << 1) ^ (delta >> 31);
}

function putVarint(out: Uint8Array, to: number, value: number): number {
  let at = to;
  let rest = value;
  while (rest >>> 7 !== 0) {
    out[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

/** Where `getVarint` stopped reading. */
let readTo = 0;

/** Reads `count` entries that `encodeImage` wrote at `from`. */
export function decodeImage(
  bytes: Uint8Array,
  from: number,
  count: number,
  image: TableImage,
): void {
  readTo = from;
  let done = 0;
  let index = 0;
  let flag = 0;
  let word = 0;
  while (done < count) {
    const head = getVarint(bytes, readTo);
    index += head >>> 1;
    if ((head & 1) !== 0) flag = bytes[readTo++] as number;
    const size = getVarint(bytes, readTo);
    const kind = size & 3;
    const end = done + (size >>> 2) + 1;
    for (let i = done; i < end; i++, index++) {
      if (i === done || kind === KIND_EACH) {
        const coded = getVarint(bytes, readTo);
        word = (word + ((coded >>> 1) ^ -(coded & 1))) | 0;
      } else {
        word = (word + deltaOf(kind)) | 0;
      }
      image.index[i] = index;
      image.flags[i] = flag;
      image.word[i] = word;
    }
    done = end;
  }
  image.count = count;
}

function getVarint(bytes: Uint8Array, from: number): number {
  let byte = bytes[from] as number;
  let at = from + 1;
  let value = byte & 127;
  for (let shift = 7; byte > 127; shift += 7) {
    byte = bytes[at++] as number;
    value |= (byte & 127) << shift;
  }
  readTo = at;
  return value >>> 0;
}
