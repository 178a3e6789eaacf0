/** The numbers of the binary form; docs/trace.md lays it out byte by byte. */

export const MAGIC = [0x50, 0x47, 0x4c, 0x42] as const; // PGLB
export const VERSION = 1;

/** Magic, version, three zero bytes, header length. */
export const FILE_HEAD_BYTES = 12;

/** Kind, payload length, event count, checksum. */
export const BLOCK_HEAD_BYTES = 13;
export const KIND_BLOCK = 0x42; // B
export const KIND_END = 0x45; // E

/** A writer ends a block that has reached this. */
export const BLOCK_BYTES = 1 << 16;

/**
 * A reader refuses more before it allocates. A line of text has at most 1 MiB, but its numbers and
 * malformed characters may grow when written again: 1e20 becomes 21 digits.
 */
export const MAX_STRING_BYTES = 1 << 23;
export const MAX_HEADER_BYTES = 1 << 23;
export const MAX_BLOCK_BYTES = 1 << 24;

// The first byte of an event: op in bits 0-4, outcome in bits 5-6, a touch's write in bit 7.
export const TAG_OP_MASK = 0x1f;
export const TAG_OUTCOME_SHIFT = 5;
export const TAG_WRITE = 0x80;
/** The op of a touch that says its content; readers that do not know it refuse it as unknown. */
export const TAG_TOUCH_CONTENT = 19;

// The second byte: what follows before the op's own fields, in this order.
export const HAS_PID = 0x01;
export const HAS_TID = 0x02;
export const HAS_TIME_NS = 0x04;
export const HAS_TIME_US = 0x08;
export const HAS_ERRNO = 0x10;
export const HAS_EXTRA = 0x20;
/** A touch's count and stride. */
export const HAS_COUNT = 0x40;
/** The address stands as it is instead of as a difference. */
export const IS_ABSOLUTE = 0x80;

/** Differences of addresses and times beyond this are not written as differences: zigzag doubles them. */
export const MAX_DELTA = 2 ** 51;

/** What differences refer to; every block starts anew, so that it can be read alone. */
export interface ProcessState {
  tid: number;
  addr: number;
}
