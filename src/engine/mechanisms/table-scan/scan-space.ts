import type { Machine } from '../../machine.ts';
import { raiseSequence } from '../../space/mmap-lock.ts';
import { VM_HUGEPAGE, VM_WINDOW } from '../../space/vm-flags.ts';
import { findVmaIndex, V_FLAGS, vmaAt, vmaEnd, vmaStart } from '../../space/vma.ts';
import { countFreedTables } from '../../tables/emptied.ts';
import { isSharedTable } from '../../tables/shared-entry.ts';
import { freeUniformChildren, UNIFORM_EMPTY, uniformKind } from '../../tables/uniform.ts';
import { freeTable, isLeaf, LeafCursor, tableCount } from '../../tables/walk.ts';

/** What scans did; grows. */
export interface ScanWork {
  scans: number;
  tablesScanned: number;
  tablesFreed: number;
}

const cursor = new LeafCursor();

/**
 * One scan (task_mm_pgtable_work): the areas from page `offset` on, each whole, until `sizePages` of
 * addresses lie behind; around to the lowest area where none is left. Areas with VM_HUGEPAGE are left
 * to the handling of huge pages, and tables that several areas share are passed over. Returns the
 * page at which the next scan begins.
 */
export function scanSpace(
  m: Machine,
  mm: number,
  offset: number,
  sizePages: number,
  work: ScanWork,
): number {
  work.scans += 1;
  let begin = offset;
  let at = findVmaIndex(m, mm, begin);
  if (vmaAt(m, mm, at) === 0) {
    begin = 0;
    at = 0;
  }
  const span = m.entryCount;
  for (let vma = vmaAt(m, mm, at); vma !== 0; vma = vmaAt(m, mm, ++at)) {
    // Windows have tables of others, and no tables of the last level.
    if ((m.words[vma + V_FLAGS] & (VM_HUGEPAGE | VM_WINDOW)) !== 0) continue;
    const start = Math.ceil(vmaStart(m, vma) / span) * span;
    const end = Math.floor(vmaEnd(m, vma) / span) * span;
    if (start === end) continue;
    // An area within one table has its end below its start here; the RFC's walk refuses it, and
    // goes on to the test of the size.
    if (start < end) scanTables(m, mm, start, end, work);
    if (end - begin >= sizePages) return end;
  }
  return 0;
}

/** Frees every table of [start, end) without entries (freept_pmd_entry). */
function scanTables(m: Machine, mm: number, start: number, end: number, work: ScanWork): void {
  cursor.begin(mm, start, end, true);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    const isOne = isLeaf(m, table);
    if (isOne && isSharedTable(m, table)) continue;
    const tables = isOne ? 1 : m.entryCount;
    work.tablesScanned += tables;
    const isEmpty = isOne ? tableCount(m, table) === 0 : uniformKind(m, table) === UNIFORM_EMPTY;
    if (!isEmpty) continue;
    raiseSequence(m, mm);
    if (isOne) freeTable(m, mm, table);
    else freeUniformChildren(m, mm, table);
    countFreedTables(m, mm, tables);
    work.tablesFreed += tables;
  }
}
