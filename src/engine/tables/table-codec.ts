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

let at = 0;

/** Writes the image into `out` and returns the number of bytes. */
export function encodeImage(image: TableImage, out: Uint8Array): number {
  at = 0;
  let expected = 0;
  let flags = -1;
  let before = 0;
  for (let i = 0; i < image.count; ) {
    const end = spanEnd(image, i);
    let gap = (image.index[i] as number) - expected;
    const newFlags = image.flags[i] as number;
    while (i < end) {
      const step = stepAt(image, i, end);
      const n = step === KIND_EACH ? literals(image, i, end) : stepLength(image, i, end, step);
      putVarint(out, (gap << 1) | (newFlags === flags ? 0 : 1));
      if (newFlags !== flags) out[at++] = newFlags;
      flags = newFlags;
      gap = 0;
      putVarint(out, ((n - 1) << 2) | step);
      putWords(image, i, n, step, before, out);
      before = image.word[i + n - 1] as number;
      i += n;
    }
    expected = (image.index[end - 1] as number) + 1;
  }
  return at;
}

/** End of the entries from `i` on that stand one after the other and have the same flags. */
function spanEnd(image: TableImage, i: number): number {
  const { index, flags } = image;
  let end = i + 1;
  while (
    end < image.count &&
    flags[end] === flags[i] &&
    index[end] === (index[end - 1] as number) + 1
  ) {
    end++;
  }
  return end;
}

/** Token kind for the words from `i` on: a step of 0, +1, -1 that goes on long enough, or each. */
function stepAt(image: TableImage, i: number, end: number): number {
  if (i + 1 === end) return 0;
  const delta = ((image.word[i + 1] as number) - (image.word[i] as number)) | 0;
  const kind = delta === 0 ? 0 : delta === 1 ? 1 : delta === -1 ? 2 : KIND_EACH;
  if (kind === KIND_EACH) return kind;
  const n = stepLength(image, i, end, kind);
  return n >= WORTH_A_TOKEN || i + n === end ? kind : KIND_EACH;
}

function deltaOf(kind: number): number {
  return kind === 2 ? -1 : kind;
}

function stepLength(image: TableImage, i: number, end: number, kind: number): number {
  const delta = deltaOf(kind);
  let to = i + 1;
  while (to < end && image.word[to] === (((image.word[to - 1] as number) + delta) | 0)) to++;
  return to - i;
}

/** How many words from `i` on are best written one by one. */
function literals(image: TableImage, i: number, end: number): number {
  let to = i + 1;
  while (to < end && (to + WORTH_A_TOKEN > end || stepAt(image, to, end) === KIND_EACH)) to++;
  return to - i;
}

function putWords(
  image: TableImage,
  from: number,
  n: number,
  kind: number,
  before: number,
  out: Uint8Array,
): void {
  let last = before;
  const written = kind === KIND_EACH ? n : 1;
  for (let i = from; i < from + written; i++) {
    const delta = ((image.word[i] as number) - last) | 0;
    putVarint(out, (delta << 1) ^ (delta >> 31));
    last = image.word[i] as number;
  }
}

function putVarint(out: Uint8Array, value: number): void {
  let rest = value;
  while (rest >>> 7 !== 0) {
    out[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  out[at++] = rest;
}

/** Reads `count` entries that `encodeImage` wrote at `from`. */
export function decodeImage(
  bytes: Uint8Array,
  from: number,
  count: number,
  image: TableImage,
): void {
  at = from;
  image.count = 0;
  let index = 0;
  let flags = 0;
  let word = 0;
  while (image.count < count) {
    const head = getVarint(bytes);
    index += head >>> 1;
    if ((head & 1) !== 0) flags = bytes[at++] as number;
    const size = getVarint(bytes);
    const kind = size & 3;
    const n = (size >>> 2) + 1;
    for (let i = 0; i < n; i++) {
      if (i === 0 || kind === KIND_EACH) {
        const coded = getVarint(bytes);
        word = (word + ((coded >>> 1) ^ -(coded & 1))) | 0;
      } else {
        word = (word + deltaOf(kind)) | 0;
      }
      image.add(index++, flags, word);
    }
  }
}

function getVarint(bytes: Uint8Array): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] as number;
    value |= (byte & 127) << shift;
    if (byte < 128) return value >>> 0;
  }
}
