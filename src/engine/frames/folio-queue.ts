import { B_NEXT, BLOCK_WORDS, H_SPLIT_FIRST, H_SPLIT_LAST } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { F_NEXT } from './frame-record.ts';

/**
 * Folios of which a part is unmapped, in the order in which that began (the deferred split queue): a
 * folio of 2 MiB by its pageblock, a smaller one by the record of its first frame. Both have two words
 * for links that are theirs while they are in use.
 */

/** True for a pageblock, false for a frame record: pageblocks lie before all that is allocated. */
export function isBlockId(m: Machine, id: number): boolean {
  return id < m.blocksAt + m.blockCount * BLOCK_WORDS;
}

/** Where the links of a folio stand: the next one, then the one before. */
function linksOf(m: Machine, id: number): number {
  return id + (isBlockId(m, id) ? B_NEXT : F_NEXT);
}

export function firstQueued(m: Machine): number {
  return m.words[H_SPLIT_FIRST];
}

export function nextQueued(m: Machine, id: number): number {
  return m.words[linksOf(m, id)];
}

export function enqueueFolio(m: Machine, id: number): void {
  const w = m.words;
  const last = w[H_SPLIT_LAST];
  const links = linksOf(m, id);
  w[links] = 0;
  w[links + 1] = last;
  if (last !== 0) w[linksOf(m, last)] = id;
  else w[H_SPLIT_FIRST] = id;
  w[H_SPLIT_LAST] = id;
}

export function dequeueFolio(m: Machine, id: number): void {
  const w = m.words;
  const links = linksOf(m, id);
  const next = w[links];
  const prev = w[links + 1];
  if (prev !== 0) w[linksOf(m, prev)] = next;
  else w[H_SPLIT_FIRST] = next;
  if (next !== 0) w[linksOf(m, next) + 1] = prev;
  else w[H_SPLIT_LAST] = prev;
}
