import { forkAnonVma } from './anon-vma.ts';
import { Space } from './space.ts';
import { GIB_PAGES, PUD_PAGES, SLOT_PAGES, spansOf } from './tables.ts';
import type { Vma } from './vma.ts';

/** The child's address space (dup_mmap). Nothing changes in the parent. */
export function fork(parent: Space): Space {
  const child = new Space(parent.hasHugePages);
  child.hugeOff = parent.hugeOff;
  for (const vma of parent.vmas) {
    if (vma.flags.dontFork) continue;
    const copy: Vma = {
      ...vma,
      flags: { ...vma.flags, locked: 'no' },
      anonVma: null,
      hasParent: false,
    };
    if (!vma.flags.wipeOnFork) forkAnonVma(copy, vma);
    child.insert(copy);
    // Without an anon_vma no page is the process's own: the child can fault them again.
    const needsCopy = vma.anonVma !== null || vma.mayHaveGuards;
    if (!vma.flags.wipeOnFork && needsCopy) copyTables(parent, child, vma);
  }
  return child;
}

/** Tables that the VMA touches, empty ones too, and the entries inside the VMA (copy_page_range). */
function copyTables(parent: Space, child: Space, { start, end }: Vma): void {
  for (const at of spansOf(start, end, PUD_PAGES)) {
    if (parent.tables.hasPud(at)) child.tables.makePud(at);
  }
  for (const at of spansOf(start, end, GIB_PAGES)) {
    if (parent.tables.hasPmd(at)) child.tables.makePmd(at);
  }
  for (const at of spansOf(start, end, SLOT_PAGES)) {
    if (parent.tables.hasPte(at)) child.tables.makePte(at);
  }
  for (const [page, entry] of parent.tables.entriesIn(start, end)) {
    child.tables.set(page, { ...entry });
  }
  for (const at of spansOf(start, end, SLOT_PAGES)) {
    if (parent.tables.isHuge(at)) child.tables.markHuge(at, true);
  }
}
