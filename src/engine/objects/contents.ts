import { H_FRAMES } from '../layout.ts';
import type { Machine } from '../machine.ts';

/**
 * Page contents, one word a page, for whoever wants to see that none is lost: a fresh anonymous page
 * is 0, a copy is what it was copied from, and what goes to swap comes back. The engine only moves
 * the words; who touches a page reads and writes its word (fault/access.ts).
 *
 * A machine has them if `hasContents` was given: a word for each frame, and after them one for each
 * swap slot. Contents of a file's page are those of its frame; they go with it.
 */

/** Word offset of the contents of a frame; only for machines that have contents. */
export function contentsOfFrame(m: Machine, pfn: number): number {
  return m.contentsAt + pfn;
}

export function contentsOfSlot(m: Machine, slot: number): number {
  return m.contentsAt + m.words[H_FRAMES] + slot;
}

/** The word at a place (contentsOfFrame, contentsOfSlot); 0 where there are no contents. */
export function readContents(m: Machine, at: number): number {
  return m.contentsAt === 0 ? 0 : m.words[at];
}

/** A fresh page. */
export function zeroContents(m: Machine, pfn: number): void {
  if (m.contentsAt !== 0) m.words[m.contentsAt + pfn] = 0;
}

/** The frame holds what was read elsewhere. */
export function writeContents(m: Machine, pfn: number, contents: number): void {
  if (m.contentsAt !== 0) m.words[m.contentsAt + pfn] = contents;
}

/** The frame's page goes to a swap slot. */
export function saveContents(m: Machine, pfn: number, slot: number): void {
  if (m.contentsAt !== 0) m.words[contentsOfSlot(m, slot)] = m.words[m.contentsAt + pfn];
}
