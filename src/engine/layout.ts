/**
 * Where everything lies in the machine's one buffer, in 32-bit words:
 *
 *   header | cpus | zones | pageblocks | arena
 *
 * The header and the fixed tables are small; the arena holds every record that comes and goes
 * (frame metadata, table contents, address spaces, VMAs, objects). A record's id is its word
 * offset, so following an id is one addition. Memory that was never used is never touched.
 */

export const MAGIC = 0x50474c42; // "PGLB"
export const VERSION = 1;

// Header words.
export const H_MAGIC = 0;
export const H_VERSION = 1;
export const H_LEVELS = 2;
export const H_BITS = 3;
export const H_CPUS = 4;
export const H_ZONES = 5;
export const H_BLOCKS = 6;
export const H_ARENA_NEXT = 8;
export const H_ARENA_END = 9;
export const H_ARENA_LOCK = 10;
/** Head of the list of address spaces. */
export const H_MM_LIST = 11;
/** Head of the list of objects (files, shared memory). */
export const H_OBJECT_LIST = 12;
/** Spare frame-metadata chunks, all state words zero, linked by word 1. */
export const H_SPARE_CHUNKS = 13;
/** All-zero contents, for upper tables without children. */
export const H_ZERO_CONTENTS = 14;
/** Contents of -1, for uniform upper tables: every child says "look at the form". */
export const H_UNIFORM_CONTENTS = 15;
/** Swap: first word of the slot counts, number of slots, next slot to try, used slots. */
export const H_SWAP_MAP = 16;
export const H_SWAP_SLOTS = 17;
export const H_SWAP_NEXT = 18;
export const H_SWAP_USED = 19;
/** First word of the swap cache: the frame that holds a slot's page, one word a slot. */
export const H_SWAP_CACHE = 22;
/** Head of the free slots, linked through the swap cache's words. */
export const H_SWAP_FREE = 23;
/** Frames in all zones that the buddy manages, and those reserved at boot. */
export const H_FRAMES = 20;
/** Frames of a memory block, the unit of hot-plug. */
export const H_MEMORY_BLOCK = 24;
/** State of stored tables (tables/stored.ts); 0 while no mechanism stores any. */
export const H_STORED = 40;
/** The root memory cgroup and head of the list of all (cgroup/); 0 while there is none. */
export const H_CGROUPS = 41;
/** Head of the list of guests (guest/). */
export const H_GUESTS = 42;
/** The thread that has stopped all others: its cpu + 1, else 0 (threads/world.ts). */
export const H_STOP = 30;
/** The arrays of all per-cpu frame lists: first word, and the word after the last (frames/pcp.ts). */
export const H_PCP_START = 44;
export const H_PCP_END = 45;
/** Pageblocks of huge pages that wait to be split, oldest first (frames/folio.ts). */
export const H_SPLIT_FIRST = 46;
export const H_SPLIT_LAST = 47;
/** Reservations that are partially populated, least recently changed first (frames/reservation.ts). */
export const H_RESERVED_FIRST = 52;
export const H_RESERVED_LAST = 53;
/** Guards stored tables: their records, the pool, the counts (tables/stored.ts). */
export const H_STORED_LOCK = 31;
/** Locks of a shared machine: all anon_vmas; swap; the lists of address spaces and objects. */
export const H_ANON_LOCK = 25;
export const H_SWAP_LOCK = 26;
export const H_LIST_LOCK = 27;
/** Where the sequence numbers of the next address space begin, so that none repeats a dead one's. */
export const H_SEQ_BASE = 28;
/** First word of the page contents, 0 for a machine without (objects/contents.ts). */
export const H_CONTENTS = 29;
/** Free lists of the arena, one word a size class. */
export const H_ARENA_FREE = 64;
export const HEADER_WORDS = 128;

// One area a cpu (a worker thread).
export const CPU_CLOCK = 0; // stamps frames in the order of their use
export const CPU_DEFERRED = 1; // tables taken away since the last grace period began
export const CPU_WAITING = 2; // tables whose frames wait for the grace period that runs
export const CPU_STATE = 3; // CPU_OFFLINE, CPU_ONLINE or CPU_PARKED (threads/world.ts)
export const CPU_FROZEN = 5; // frozen tables since the last grace period began (tables/table-refs.ts)
export const CPU_FROZEN_WAITING = 6; // those that wait for the one that runs
export const CPU_TICKS = 4; // operations that this thread has ended
export const CPU_PCP = 16; // per-cpu frame lists, PCP_WORDS a zone
export const PCP_WORDS = 10;
export const MAX_ZONES = 8;
export const CPU_WORDS = 128;

// A zone. Its span is all frame numbers that it can ever have; which of them are there, and its own
// and no other zone's, the pageblocks say.
export const Z_START = 0;
export const Z_FRAMES = 1;
export const Z_FREE = 2;
export const Z_MIN = 3;
export const Z_LOW = 4;
export const Z_HIGH = 5;
export const Z_NODE = 6;
export const Z_LOCK = 7;
export const Z_KIND = 8;
export const Z_HAND = 9;
/** Frames that the buddy manages: those online, less the reserved ones. */
export const Z_MANAGED = 10;
/** Where compaction's scanners went on last: migration (async, sync) and free; 0 for the start. */
export const Z_COMPACT_MIGRATE = 11;
export const Z_COMPACT_MIGRATE_SYNC = 12;
export const Z_COMPACT_FREE = 13;
/** 1 when a whole pass is over, so that the skip marks should go (compact_blockskip_flush). */
export const Z_COMPACT_FLUSH = 14;
export const Z_LISTS = 16; // heads: [order][migrate type], MIGRATE_TYPES a row
export const MIGRATE_TYPES = 4;
export const MAX_ORDER = 10;
export const Z_COUNTS = Z_LISTS + (MAX_ORDER + 1) * MIGRATE_TYPES; // free blocks of each order
/** Direct compaction that failed is put off: attempts since, how long (a shift), from which order on. */
export const Z_DEFER_CONSIDERED = 80;
export const Z_DEFER_SHIFT = 81;
export const Z_DEFER_ORDER = 82;
export const ZONE_WORDS = 96;

// A pageblock: 512 frames.
export const BLOCK_SHIFT = 9;
export const BLOCK_FRAMES = 512;
export const BLOCK_WORDS = 8;
export const B_STATE = 0;
/** Word offset of the 512 frame records; 0 while no frame of the block needs one. */
export const B_CHUNK = 1;
export const B_NEXT = 2;
export const B_PREV = 3;
/** For an extent: what the frame record's words of the same name say, for all 512 frames. */
export const B_MAPPING = 4;
export const B_INDEX = 5;
export const B_MAPCOUNT = 6;
export const B_STAMP = 7;
