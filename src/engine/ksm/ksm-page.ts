import {
  blockOf,
  F_INDEX,
  F_MAPPING,
  F_STATE,
  FRAME_DIRTY,
  FRAME_KSM,
  FRAME_LAZYFREE,
  frameRecord,
} from '../frames/frame-record.ts';
import { ensureRecord } from '../frames/map-count.ts';
import { B_CHUNK } from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * A merged page's frame. It is anonymous, and counts as that; but its owners need not be related, so
 * its record names no anon_vma but the stable node (F_MAPPING), from which one finds them, and its
 * place in that (F_INDEX: 0, or 0 to 511 in a huge page). No entry that maps it may be written.
 */
export function isKsm(m: Machine, pfn: number): boolean {
  if (m.words[blockOf(m, pfn) + B_CHUNK] === 0) return false;
  return (m.words[frameRecord(m, pfn) + F_STATE] & FRAME_KSM) !== 0;
}

/** The frames of an anonymous page (1, or 512 of a huge page) are merged ones from now on. */
export function markKsm(m: Machine, pfn: number, span: number, node: number): void {
  const w = m.words;
  for (let i = 0; i < span; i++) {
    const rec = ensureRecord(m, pfn + i);
    // Reclaim drops clean pages that MADV_FREE gave up: this one has more owners by now.
    w[rec + F_STATE] = (w[rec + F_STATE] & ~FRAME_LAZYFREE) | FRAME_KSM | FRAME_DIRTY;
    w[rec + F_MAPPING] = node;
    w[rec + F_INDEX] = i;
  }
}

/** The stable node of a frame, 0 for a page that is not merged. */
export function ksmNodeOf(m: Machine, pfn: number): number {
  return isKsm(m, pfn) ? m.words[frameRecord(m, pfn) + F_MAPPING] : 0;
}

/** Compares what `span` frames hold, as unsigned words: negative, 0 or positive (memcmp_pages). */
export function compareContents(m: Machine, a: number, b: number, span: number): number {
  const w = m.words;
  const atA = m.contentsAt + a;
  const atB = m.contentsAt + b;
  for (let i = 0; i < span; i++) {
    const difference = (w[atA + i] >>> 0) - (w[atB + i] >>> 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A sum of what the frames hold (calc_checksum): of one page the word itself. */
export function checksumOf(m: Machine, pfn: number, span: number): number {
  const at = m.contentsAt + pfn;
  let sum = m.words[at];
  for (let i = 1; i < span; i++) sum = (Math.imul(sum, 0x01000193) ^ m.words[at + i]) | 0;
  return sum;
}
