/**
 * A page-table entry: a 32-bit word (frame number, swap slot, or child table) and a byte of flags,
 * kept in two arrays of a table's contents. The low three bits of the byte say what the word is;
 * 0 is the empty entry ("none"), so empty contents are zero bytes.
 */
export const ENTRY_NONE = 0;
/** The word is a child table (upper levels). */
export const ENTRY_TABLE = 1;
/** The word is a frame. */
export const ENTRY_PAGE = 2;
/** The shared zero page; the word means nothing. */
export const ENTRY_ZERO = 3;
/** Not present: the word is a swap slot. */
export const ENTRY_SWAP = 4;
/** Not present: a guard marker (MADV_GUARD_INSTALL); a touch is a SIGSEGV. */
export const ENTRY_GUARD = 5;
/** A frame that is not memory of ours (vvar): present, counted nowhere. */
export const ENTRY_SPECIAL = 6;
/** The word is a table of another owner's tree (link.ts). */
export const ENTRY_LINK = 7;
export const KIND_MASK = 7;

export const ENTRY_WRITE = 1 << 3;
export const ENTRY_ACCESSED = 1 << 4;
export const ENTRY_DIRTY = 1 << 5;
/** The frame belongs to an object (file, shared memory), not to anonymous memory. */
export const ENTRY_OBJECT = 1 << 6;

/** Present in the sense of /proc/PID/pagemap bit 63: page, zero page or special. */
export function isPresent(flags: number): boolean {
  const kind = flags & KIND_MASK;
  return kind === ENTRY_PAGE || kind === ENTRY_ZERO || kind === ENTRY_SPECIAL;
}
