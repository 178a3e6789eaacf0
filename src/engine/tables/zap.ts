import {
  blockOf,
  F_MAPCOUNT,
  F_STATE,
  FRAME_DIRTY,
  FRAME_ORPHAN,
  FRAME_WORDS,
  frameRecord,
  setFrameFlags,
} from '../frames/frame-record.ts';
import { changeRunMappings, dropMapping, freeAnon, markFrameDirty } from '../frames/map-count.ts';
import { breakExtent } from '../frames/pageblock.ts';
import { B_CHUNK, BLOCK_FRAMES, H_STOP } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { isShmemVma } from '../objects/object.ts';
import { swapSlotPut } from '../objects/swap.ts';
import { opsOfWindow } from '../objects/window.ts';
import {
  C_ANON,
  C_FILE,
  C_GUARD,
  C_SHMEM,
  C_SPECIAL,
  C_SWAP,
  C_ZERO,
  mmCounters,
} from '../space/mm.ts';
import { VM_WINDOW } from '../space/vm-flags.ts';
import { V_FLAGS } from '../space/vma.ts';
import { MUTANT, MUTANT_FAST_PATH, MUTANT_UNDERFLOW, racePoint } from '../threads/test-switches.ts';
import { countFreedTables, freeLeaf, isUnwantedWhenEmpty } from './emptied.ts';
import {
  ENTRY_DIRTY,
  ENTRY_GUARD,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SPECIAL,
  ENTRY_SWAP,
  ENTRY_ZERO,
  KIND_MASK,
} from './entry.ts';
import { isHuge } from './huge-entry.ts';
import {
  entryFlags,
  entryWord,
  leafBecameEmpty,
  oneIndex,
  removeEntry,
  runFlags,
  runHigh,
  runLow,
} from './leaf.ts';
import { freeEmptyLeaf, freeUnhooked, lockLeaf, tryUnhookLocked, unlockLeaf } from './leaf-lock.ts';
import { isSharedWord } from './shared-entry.ts';
import { leaveOrUnshare, mustUnshare } from './shared-range.ts';
import { isOpened } from './stored.ts';
import {
  FORM_DENSE,
  FORM_EMPTY,
  FORM_MASK,
  FORM_ONE,
  FORM_RUN,
  flagsAt,
  T_CONTENTS,
  T_COUNT,
  T_LOCK,
  T_RULE,
  T_STATE,
} from './table.ts';
import {
  freeUniformChildren,
  UNIFORM_RUN,
  uniformBase,
  uniformBecameEmpty,
  uniformFlags,
  uniformKind,
} from './uniform.ts';
import { closeLeaf, findTable, freeTable, isLeaf, LeafCursor, leafWord, openLeaf } from './walk.ts';

/**
 * Empties entries (zap_page_range): pages lose a mapping, swap slots a user, and the counters of
 * the address space follow. What then becomes of an empty table is the caller's rule:
 */
/** Free each last-level table that the range covers whole and that holds nothing (PT_RECLAIM). */
export const ZAP_RECLAIM_TABLES = 1;
/** Guard markers stay (madvise; munmap drops them). */
export const ZAP_KEEP_GUARDS = 2;
/** Only pages of the object, not private copies (hole punch). */
export const ZAP_OBJECT_ONLY = 4;
/** Of the object's pages only those that have left it (hole punch on a shared machine). */
export const ZAP_ORPHANS_ONLY = 16;
/** All tables are about to go, so no event for empty ones (exit). */
export const ZAP_NO_EVENT = 8;

const cursor = new LeafCursor();

/** Empties the entries of [start, end) pages, which lie in one VMA. */
export function zapRange(
  m: Machine,
  mm: number,
  vma: number,
  start: number,
  end: number,
  how: number,
): void {
  if ((m.words[vma + V_FLAGS] & VM_WINDOW) !== 0) {
    opsOfWindow(m, vma).detach(m, mm, vma);
    return;
  }
  const shmem = isShmemVma(m, vma);
  const slot = Math.floor(start / m.entryCount);
  if (end <= (slot + 1) * m.entryCount && end - start < m.entryCount) {
    zapInSlot(m, mm, start, end, shmem, how);
    return;
  }
  if (m.sharing !== null) {
    const keepsPages = (how & (ZAP_OBJECT_ONLY | ZAP_ORPHANS_ONLY)) !== 0;
    leaveOrUnshare(m, mm, vma, start, end, (how & ZAP_KEEP_GUARDS) !== 0, keepsPages);
  }
  cursor.begin(mm, start, end);
  for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
    if (!isLeaf(m, table)) {
      zapUniform(m, mm, table, shmem, how);
      continue;
    }
    const from = cursor.start % m.entryCount;
    const to = from + (cursor.end - cursor.start);
    zapTable(m, mm, table, from, to, shmem, how);
  }
}

/** Zaps entries [from, to) of a last-level table, and frees it where somebody wants that. */
function zapTable(
  m: Machine,
  mm: number,
  table: number,
  from: number,
  to: number,
  shmem: boolean,
  how: number,
): void {
  if (m.isShared) {
    zapShared(m, mm, table, from, to, shmem, how);
    return;
  }
  const before = m.words[table + T_COUNT];
  const wasHuge = isHuge(m, table);
  if (wasHuge && (how & ZAP_RECLAIM_TABLES) !== 0 && !isWholeSlot(m, from, to)) {
    if (m.events.hugePartlyFreed?.(m, mm, table, from, to) === true) return;
  }
  if (before !== 0) zapLeaf(m, mm, table, from, to, shmem, how);
  if (m.words[table + T_COUNT] !== 0) return;
  if (wasHuge && isWholeSlot(m, from, to)) {
    // The table in reserve goes with the huge page (zap_huge_pmd).
    freeTable(m, mm, table);
    return;
  }
  if (isToFree(m, mm, table, from, to, before > 0, how)) freeLeaf(m, mm, table);
}

/** Entries between two looks at whether somebody wants to stop the world. */
const ZAP_PIECE = 128;

/**
 * The same under the table's lock. It is dropped midway if somebody waits for this thread; then others
 * may have filled what was emptied already, and only a second look tells whether the table may go
 * (the race of v6.14-rc: "mm: pgtable: fix incorrect reclaim of non-empty PTE pages").
 */
function zapShared(
  m: Machine,
  mm: number,
  table: number,
  first: number,
  to: number,
  shmem: boolean,
  how: number,
): void {
  if (!lockLeaf(m, table)) return;
  const w = m.words;
  const before = w[table + T_COUNT];
  let wasDropped = false;
  for (let from = first; from < to && w[table + T_COUNT] > 0; ) {
    const end = Math.min(to, from + ZAP_PIECE);
    zapLeaf(m, mm, table, from, end, shmem, how);
    from = end;
    if (from === to || (w[H_STOP] === 0 && !racePoint())) continue;
    unlockLeaf(m, mm, table);
    racePoint();
    wasDropped = true;
    if (!lockLeaf(m, table)) return;
  }
  // Where references are counted, the last of them frees the table.
  if (m.tableRefs !== 0) {
    unlockLeaf(m, mm, table);
    return;
  }
  // The two bugs rely on the range having been zapped whole, and do not look at the rest.
  const isTrusted = MUTANT === MUTANT_FAST_PATH || MUTANT === MUTANT_UNDERFLOW;
  const isEmpty = w[table + T_COUNT] === 0 || (isTrusted && isWholeSlot(m, first, to));
  if (!isEmpty || !isToFree(m, mm, table, first, to, before > 0, how)) {
    m.unlock(table + T_LOCK);
    return;
  }
  const isFast = !wasDropped || MUTANT === MUTANT_FAST_PATH;
  const isUnhooked = isFast && tryUnhookLocked(m, mm, table);
  m.unlock(table + T_LOCK);
  if (isUnhooked) freeUnhooked(m, mm, table);
  else freeEmptyLeaf(m, mm, table);
}

/** A piece of one slot, as allocators give back: one walk, or none after a touch there. */
function zapInSlot(
  m: Machine,
  mm: number,
  start: number,
  end: number,
  shmem: boolean,
  how: number,
): void {
  const hi = Math.floor(start / m.loPages);
  const lo = start - hi * m.loPages;
  const isLastWalk =
    !m.isShared && m.walkOwner === mm && m.walkHi === hi && m.walkSlot === lo >> m.bits;
  const word = isLastWalk ? m.walkLeaf : leafWord(m, mm, hi, lo);
  if (word === 0) return;
  const table = word > 0 ? word : openToZap(m, mm, hi, lo, word);
  if (table === 0) return;
  const isStored = word < 0 && isOpened(m, table);
  const from = lo & m.mask;
  zapTable(m, mm, table, from, from + (end - start), shmem, how);
  if (isStored) closeLeaf(m, mm, table);
}

function openToZap(m: Machine, mm: number, hi: number, lo: number, word: number): number {
  if (!isSharedWord(word)) return openLeaf(m, mm, hi, lo);
  const upper = findTable(m, mm, 1, hi, lo);
  return mustUnshare(m, mm, upper, lo >> m.bits);
}

/** Whether an empty table goes: by PT_RECLAIM, for a range that covers it whole, or by a mechanism. */
function isToFree(
  m: Machine,
  mm: number,
  table: number,
  from: number,
  to: number,
  isNew: boolean,
  how: number,
): boolean {
  // A stored table that lost its entries goes when it is closed.
  if (isOpened(m, table)) return false;
  const isAsked = (how & ZAP_RECLAIM_TABLES) !== 0 && m.rules.hasPtReclaim;
  if (isAsked && isWholeSlot(m, from, to)) return true;
  return isNew && (how & ZAP_NO_EVENT) === 0 && isUnwantedWhenEmpty(m, mm, table);
}

function isWholeSlot(m: Machine, from: number, to: number): boolean {
  if (MUTANT !== MUTANT_UNDERFLOW) return to - from === m.entryCount;
  const alignedDown = to & ~m.mask;
  const alignedUp = (from + m.mask) & ~m.mask;
  return (alignedDown - alignedUp) >>> 0 >= m.entryCount;
}

function zapUniform(m: Machine, mm: number, table: number, shmem: boolean, how: number): void {
  const w = m.words;
  const counters = mmCounters(m, mm);
  const wasFull = uniformKind(m, table) === UNIFORM_RUN;
  if (wasFull) {
    const pages = m.loPages;
    const flags = uniformFlags(m, table);
    changeRunMappings(m, uniformBase(m, table), pages, -1);
    w[counters + rssCounter(flags, shmem)] -= pages;
    uniformBecameEmpty(m, mm, table);
  }
  const byRule = (how & ZAP_RECLAIM_TABLES) !== 0 && m.rules.hasPtReclaim;
  const byHook = wasFull && (how & ZAP_NO_EVENT) === 0 && isUnwantedWhenEmpty(m, mm, table);
  if (!byRule && !byHook) return;
  freeUniformChildren(m, mm, table);
  countFreedTables(m, mm, m.entryCount);
}

/** Which RSS counter a present page with these flags is in. */
export function rssCounter(flags: number, shmem: boolean): number {
  if ((flags & ENTRY_OBJECT) === 0) return C_ANON;
  return shmem ? C_SHMEM : C_FILE;
}

/** Zaps entries [from, to) of a last-level table of anonymous memory, which stays. */
export function zapEntries(m: Machine, mm: number, table: number, from: number, to: number): void {
  zapLeaf(m, mm, table, from, to, false, 0);
}

function zapLeaf(
  m: Machine,
  mm: number,
  table: number,
  from: number,
  to: number,
  shmem: boolean,
  how: number,
): void {
  const form = m.words[table + T_STATE] & FORM_MASK;
  if ((how & ZAP_ORPHANS_ONLY) !== 0) {
    zapOrphans(m, mm, table, from, to, shmem);
  } else if (form === FORM_DENSE) {
    zapDense(m, mm, table, from, to, shmem, how);
  } else if (form === FORM_RUN && coversRun(m, table, from, to)) {
    zapRun(m, mm, table, shmem, how);
  } else if (form !== FORM_EMPTY) {
    // One entry is not searched for, and nothing behind the last.
    const first = form === FORM_ONE ? Math.max(from, oneIndex(m, table)) : from;
    for (let i = first; i < to && m.words[table + T_COUNT] > 0; i++) {
      const flags = entryFlags(m, table, i);
      if (flags !== ENTRY_NONE && isToZap(flags, how)) {
        const word = entryWord(m, table, i);
        removeEntry(m, mm, table, i);
        releaseEntry(m, mm, flags, word, shmem);
      }
    }
  }
}

/** A page that came into the object meanwhile is another one, and stays mapped. */
function zapOrphans(
  m: Machine,
  mm: number,
  table: number,
  from: number,
  to: number,
  shmem: boolean,
): void {
  for (let i = from; i < to; i++) {
    const flags = entryFlags(m, table, i);
    if ((flags & KIND_MASK) !== ENTRY_PAGE || (flags & ENTRY_OBJECT) === 0) continue;
    const pfn = entryWord(m, table, i);
    if ((m.words[frameRecord(m, pfn) + F_STATE] & FRAME_ORPHAN) === 0) continue;
    removeEntry(m, mm, table, i);
    releaseEntry(m, mm, flags, pfn, shmem);
  }
}

function isToZap(flags: number, how: number): boolean {
  const kind = flags & KIND_MASK;
  if (kind === ENTRY_GUARD) return (how & ZAP_KEEP_GUARDS) === 0;
  return (how & ZAP_OBJECT_ONLY) === 0 || (flags & ENTRY_OBJECT) !== 0;
}

function coversRun(m: Machine, table: number, from: number, to: number): boolean {
  const rule = m.words[table + T_RULE];
  return from <= runLow(rule) && to >= runHigh(rule);
}

function zapRun(m: Machine, mm: number, table: number, shmem: boolean, how: number): void {
  const w = m.words;
  const rule = w[table + T_RULE];
  const flags = runFlags(rule);
  if (!isToZap(flags, how)) return;
  const pages = runHigh(rule) - runLow(rule);
  if ((flags & KIND_MASK) === ENTRY_ZERO) {
    w[mmCounters(m, mm) + C_ZERO] -= pages;
  } else {
    changeRunMappings(m, w[table + T_CONTENTS] + runLow(rule), pages, -1);
    w[mmCounters(m, mm) + rssCounter(flags, shmem)] -= pages;
  }
  w[table + T_COUNT] = 0;
  leafBecameEmpty(m, mm, table);
}

/** The common case, written out: no call per page but the one that frees a frame. */
function zapDense(
  m: Machine,
  mm: number,
  table: number,
  from: number,
  to: number,
  shmem: boolean,
  how: number,
): void {
  const w = m.words;
  const bytes = m.bytes;
  const contents = w[table + T_CONTENTS];
  const flagBytes = flagsAt(m, contents);
  let anon = 0;
  let ofObject = 0;
  let gone = 0;
  for (let i = from; i < to; i++) {
    const flags = bytes[flagBytes + i];
    if (flags === ENTRY_NONE) continue;
    if ((flags & KIND_MASK) !== ENTRY_PAGE) {
      if (!isToZap(flags, how)) continue;
      bytes[flagBytes + i] = ENTRY_NONE;
      gone++;
      releaseEntry(m, mm, flags, w[contents + i], shmem);
      continue;
    }
    const isObject = (flags & ENTRY_OBJECT) !== 0;
    if (!isObject && (how & ZAP_OBJECT_ONLY) !== 0) continue;
    bytes[flagBytes + i] = ENTRY_NONE;
    gone++;
    const pfn = w[contents + i];
    const block = blockOf(m, pfn);
    if (w[block + B_CHUNK] === 0) breakExtent(m, pfn);
    const rec = w[block + B_CHUNK] + (pfn & (BLOCK_FRAMES - 1)) * FRAME_WORDS;
    if (isObject) {
      ofObject++;
      if ((flags & ENTRY_DIRTY) !== 0) setFrameFlags(m, rec, FRAME_DIRTY);
    } else {
      anon++;
    }
    if (m.isShared) {
      dropMapping(m, pfn);
      continue;
    }
    const count = w[rec + F_MAPCOUNT] - 1;
    w[rec + F_MAPCOUNT] = count;
    // An object's frame that nobody maps stays in its object.
    if (count === 0 && !isObject) freeAnon(m, pfn, rec);
  }
  w[mmCounters(m, mm) + C_ANON] -= anon;
  w[mmCounters(m, mm) + (shmem ? C_SHMEM : C_FILE)] -= ofObject;
  countGone(m, mm, table, gone); // the count
}

function countGone(m: Machine, mm: number, table: number, gone: number): void {
  const count = m.words[table + T_COUNT] - gone;
  m.words[table + T_COUNT] = count;
  if (count === 0 && gone > 0) leafBecameEmpty(m, mm, table);
}

/** Gives back what an entry held; the entry itself is gone already. */
export function releaseEntry(
  m: Machine,
  mm: number,
  flags: number,
  word: number,
  shmem: boolean,
): void {
  const w = m.words;
  const counters = mmCounters(m, mm);
  switch (flags & KIND_MASK) {
    case ENTRY_PAGE:
      w[counters + rssCounter(flags, shmem)] -= 1;
      if ((flags & (ENTRY_DIRTY | ENTRY_OBJECT)) === (ENTRY_DIRTY | ENTRY_OBJECT)) {
        markFrameDirty(m, word);
      }
      dropMapping(m, word);
      break;
    case ENTRY_ZERO:
      w[counters + C_ZERO] -= 1;
      break;
    case ENTRY_SWAP:
      w[counters + C_SWAP] -= 1;
      swapSlotPut(m, word);
      break;
    case ENTRY_SPECIAL:
      w[counters + C_SPECIAL] -= 1;
      break;
    case ENTRY_GUARD:
      w[counters + C_GUARD] -= 1;
      break;
    default:
      break;
  }
}
