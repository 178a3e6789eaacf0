import type { Machine } from '../../machine.ts';
import { eachWindow } from '../../objects/window.ts';
import { V_MM, vmaEnd, vmaPgoff, vmaStart } from '../../space/vma.ts';
import { isLink, linkHeld, redirectHeld, unlinkHeld } from '../../tables/link.ts';
import { T_CONTENTS } from '../../tables/table.ts';
import { ensureTable, entrySpan, findTable, levelIndex } from '../../tables/walk.ts';
import type { MorselStore } from './morsel.ts';
import { tableFor } from './tree.ts';

/**
 * From windows to tables: the one entry of an address space that leads into a Morsel. A window shows the
 * whole object, or a part of it: then it leads to that part's table.
 */

/** Level of the table that a window leads to. */
export function windowLevel(m: Machine, vma: number): number {
  const pages = vmaEnd(m, vma) - vmaStart(m, vma);
  let level = 0;
  while (entrySpan(m, level + 1) < pages) level++;
  return level;
}

/** Leads the window to where its table is now. False when memory is out; a missing table is no link. */
export function linkWindow(m: Machine, store: MorselStore, morsel: number, vma: number): boolean {
  const w = m.words;
  const level = windowLevel(m, vma);
  const target = tableFor(m, morsel, vmaPgoff(m, vma), level);
  const mm = w[vma + V_MM];
  const start = vmaStart(m, vma);
  const hi = Math.floor(start / m.loPages);
  const lo = start - hi * m.loPages;
  if (target === 0) {
    unlinkWindow(m, store, vma);
    return true;
  }
  const table = ensureTable(m, mm, level + 1, hi, lo);
  if (table === 0) return false;
  const index = levelIndex(m, level + 1, hi, lo);
  if (!isLink(m, table, index)) {
    linkHeld(m, table, index, target);
    store.work.links += 1;
  } else if (w[w[table + T_CONTENTS] + index] !== target) {
    redirectHeld(m, table, index, target);
  }
  return true;
}

export function unlinkWindow(m: Machine, store: MorselStore, vma: number): void {
  const level = windowLevel(m, vma);
  const start = vmaStart(m, vma);
  const hi = Math.floor(start / m.loPages);
  const lo = start - hi * m.loPages;
  const table = findTable(m, m.words[vma + V_MM], level + 1, hi, lo);
  if (table === 0) return;
  const index = levelIndex(m, level + 1, hi, lo);
  if (!isLink(m, table, index)) return;
  unlinkHeld(m, table, index);
  store.work.links -= 1;
}

/** Where the window leads; 0 for nowhere. */
export function linkedTable(m: Machine, vma: number): number {
  const level = windowLevel(m, vma);
  const start = vmaStart(m, vma);
  const hi = Math.floor(start / m.loPages);
  const lo = start - hi * m.loPages;
  const table = findTable(m, m.words[vma + V_MM], level + 1, hi, lo);
  if (table === 0) return 0;
  const index = levelIndex(m, level + 1, hi, lo);
  return isLink(m, table, index) ? m.words[m.words[table + T_CONTENTS] + index] : 0;
}

/** Tables took others' places: every window is led to its own again. */
export function relinkWindows(m: Machine, store: MorselStore, morsel: number): void {
  if (!store.hasMoved) return;
  store.hasMoved = false;
  eachWindow(m, morsel, (vma) => linkWindow(m, store, morsel, vma));
}

/** True if some window shows a part that lies in, or is, the part of `level` at `page`. */
export function windowsCut(m: Machine, morsel: number, page: number, level: number): boolean {
  const end = page + entrySpan(m, level + 1);
  let isCut = false;
  eachWindow(m, morsel, (vma) => {
    const from = vmaPgoff(m, vma);
    const to = from + vmaEnd(m, vma) - vmaStart(m, vma);
    if (from >= page && to <= end) isCut = true;
  });
  return isCut;
}
