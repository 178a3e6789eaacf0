import { F_STATE, FRAME_DIRTY } from '../frames/frame-record.ts';
import { addMapping, changeRunMappings, dropMapping, ensureRecord } from '../frames/map-count.ts';
import type { Machine } from '../machine.ts';
import { C_ANON, C_ZERO, mmCounters } from '../space/mm.ts';
import {
  ENTRY_ACCESSED,
  ENTRY_DIRTY,
  ENTRY_PAGE,
  ENTRY_WRITE,
  ENTRY_ZERO,
} from '../tables/entry.ts';
import { changeEntry, entryFlags, runFlags, setRunFlags } from '../tables/leaf.ts';
import { T_CONTENTS, T_RULE } from '../tables/table.ts';
import type { Mapped } from './mergeable.ts';

/** Changes entries so that they map a merged page (try_to_merge_one_page). */

/** The entry, or the huge page's, may not be written any more (write_protect_page). */
export function writeProtect(m: Machine, at: Mapped, span: number): void {
  const { leaf, index, pfn } = at;
  if (span > 1) {
    setRunFlags(m, leaf, runFlags(m.words[leaf + T_RULE]) & ~ENTRY_WRITE);
    return;
  }
  const flags = entryFlags(m, leaf, index);
  if ((flags & ENTRY_DIRTY) !== 0) m.words[ensureRecord(m, pfn) + F_STATE] |= FRAME_DIRTY;
  if ((flags & ENTRY_WRITE) !== 0) changeEntry(m, leaf, index, flags & ~ENTRY_WRITE, pfn);
}

/** The entry, or the huge page's, maps the merged page `to` instead (replace_page). RSS stays. */
export function replacePage(m: Machine, at: Mapped, span: number, to: number): void {
  const { leaf, index, pfn } = at;
  const flags = ENTRY_PAGE | ENTRY_ACCESSED;
  if (span > 1) {
    changeRunMappings(m, to, span, 1);
    m.words[leaf + T_CONTENTS] = to;
    setRunFlags(m, leaf, flags);
    changeRunMappings(m, pfn, span, -1);
  } else {
    addMapping(m, to);
    changeEntry(m, leaf, index, flags, to);
    dropMapping(m, pfn);
  }
  m.forgetWalk();
}

/** The entry maps the zero page instead, which is no longer resident memory; marked as ksmd's. */
export function replaceByZero(m: Machine, mm: number, at: Mapped): void {
  const counters = mmCounters(m, mm);
  changeEntry(m, at.leaf, at.index, ENTRY_ZERO | ENTRY_ACCESSED | ENTRY_DIRTY, 0);
  m.words[counters + C_ANON] -= 1;
  m.words[counters + C_ZERO] += 1;
  dropMapping(m, at.pfn);
}
