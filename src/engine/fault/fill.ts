import type { Machine } from '../machine.ts';
import { contentsOfFrame } from '../objects/contents.ts';
import { opsOfWindow } from '../objects/window.ts';
import { VM_WINDOW } from '../space/vm-flags.ts';
import { V_FLAGS, vmaLookup } from '../space/vma.ts';
import { ENTRY_PAGE, KIND_MASK } from '../tables/entry.ts';
import { entryFlags, entryWord } from '../tables/leaf.ts';
import { findLeaf } from '../tables/walk.ts';

/**
 * What a page holds after it was written, on a machine with contents: `content`, 0 or more; or for -1,
 * where nobody knows, a negative word that no other page has (until 2^31 of them were drawn), so that
 * it is taken for equal to none, and for changed by each write. The page must have just been written.
 */
export function fillPage(m: Machine, mm: number, page: number, content: number): void {
  const known = content >= 0 ? content : -1 - (m.unknownContents++ & 0x7fffffff);
  if (m.windowOps.length > 0) {
    const vma = vmaLookup(m, mm, page);
    if (vma !== 0 && (m.words[vma + V_FLAGS] & VM_WINDOW) !== 0) {
      opsOfWindow(m, vma).fill(m, vma, page, known);
      return;
    }
  }
  const hi = Math.floor(page / m.loPages);
  const lo = page - hi * m.loPages;
  const leaf = findLeaf(m, mm, hi, lo);
  if (leaf === 0 || (entryFlags(m, leaf, lo & m.mask) & KIND_MASK) !== ENTRY_PAGE) return;
  m.words[contentsOfFrame(m, entryWord(m, leaf, lo & m.mask))] = known;
}
