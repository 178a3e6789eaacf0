import { assert, InputError } from '../base/index.ts';
import type { CountKind, CountTable } from './counts/count-table.ts';
import { type MachineEvents, noEvents } from './events.ts';
import { MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE } from './frames/pageblock.ts';
import { clearPcpArrays } from './frames/pcp.ts';
import { noReservations, type ReservationState } from './frames/reservation.ts';
import { formatZones, ZONE_DMA32, ZONE_MOVABLE, ZONE_NORMAL } from './frames/zones.ts';
import { checkGeometry, type Geometry, X86_64_4LEVEL } from './geometry.ts';
import {
  HUGE_PAGE_DEFAULTS,
  type HugePageSettings,
  type SizeOrders,
  sizeOrdersOf,
} from './huge/settings.ts';
import type { Hugetlb } from './hugetlb/window-ops.ts';
import type { Ksm } from './ksm/ksm.ts';
import type { KsmSettings } from './ksm/settings.ts';
import * as L from './layout.ts';
import { type CompactionWork, noCompactionWork } from './migrate/compaction-work.ts';
import type { WindowOps } from './objects/window.ts';
import { type KswapdState, noKswapd, noVmstat, type Vmstat } from './reclaim/vmstat.ts';
import { LINUX_6_18, type Rules } from './rules.ts';
import { type ForkWork, noForkWork } from './space/fork-work.ts';
import { MM_COUNTER_WORDS, MM_COUNTERS } from './space/mm.ts';
import type { TableSharing } from './tables/sharing.ts';
import { pause } from './threads/pause.ts';

/**
 * A modelled machine: one buffer, its views, and the few values that every operation needs.
 *
 * LOCK ORDER (as in mm/rmap.c and mm/mmap_lock.c; taken only while `isShared`):
 *
 *   mmap_lock of an address space (space/mmap-lock.ts)
 *     VMA lock (space/vma-lock.ts)
 *       mapping lock of an object: its list of mappings, truncation (objects/object-lock.ts)
 *         lock of an upper table (to hang a table below it, or to take it off)
 *           lock of a last-level table (its entries and its count)
 *             page lock of an object (its page index)
 *               anon_vma lock, swap lock, list lock, zone lock, arena lock
 *
 * The first three may be held for long: who waits for one parks when the world is stopped
 * (threads/world.ts). The others are spin locks; nobody waits, allocates with reclaim, or parks
 * while holding one.
 *
 * Plain stores are enough for a word under its lock; the lock's compare-exchange and store order
 * them. An exclusive machine (one thread) takes no locks and uses no atomics.
 */
export interface MachineOptions {
  geometry?: Geometry;
  rules?: Rules;
  /** Modelled memory of each NUMA node in bytes; multiples of 4 MiB. Default: one node, 24 GiB. */
  nodeBytes?: readonly number[];
  /**
   * Most memory of each node in bytes: what is beyond `nodeBytes` is room for hot-plug, and is not
   * there at the start. Multiples of the memory block. Default: `nodeBytes`.
   */
  maxNodeBytes?: readonly number[];
  /** The end of each node's memory that starts as zone Movable (movablecore=). Default: none. */
  movableBytes?: readonly number[];
  /** Memory that goes online and offline as one; a power of two of at least 4 MiB. Default 128 MiB. */
  memoryBlockBytes?: number;
  /** Modelled swap device in bytes; 0 for none. */
  swapBytes?: number;
  /** Threads that may attach (1 to 64); also the number of modelled cpus. */
  cpus?: number;
  /** True: several threads use the buffer at once, with locks. False: one thread, no locks. */
  isShared?: boolean;
  /** True: each page has a word of contents, which follows it everywhere (objects/contents.ts). */
  hasContents?: boolean;
  /** Transparent huge pages, over their defaults (huge/settings.ts). Off where not said. */
  huge?: Partial<HugePageSettings>;
  /** vm.compaction_proactiveness, 0 to 100. Default: Linux's 20 where there are huge pages, else 0. */
  compactionProactiveness?: number;
  /** Samepage merging, over its defaults (ksm/settings.ts); a `System` puts it on. None where not said. */
  ksm?: Partial<KsmSettings>;
  /** vm.nr_hugepages: 2 MiB pages set aside (hugetlb/), as far as there are such; a `System` takes them. */
  hugetlbPages?: number;
  /** Tables of hugetlb mappings are shared where they can be; default true, as in Linux. */
  hugetlbPmdSharing?: boolean;
  /** Size of the engine's buffer in MiB: address space, touched only as far as it is used. */
  bufferMiB?: number;
}

/** Threads and modelled cpus that a machine can have. */
export const MAX_CPUS = 64;

/** The default buffer: room for about ten million table pages, untouched until used. */
const DEFAULT_BUFFER_MIB = 1024;
/** SECTION_SIZE_BITS 27 of arch/x86/include/asm/sparsemem.h; Linux takes larger ones from 64 GiB on. */
const DEFAULT_MEMORY_BLOCK_BYTES = 2 ** 27;
/** Byte offsets must stay below 2^31, or they would not be small integers. */
const MAX_BUFFER_MIB = 2047;

export class Machine {
  readonly buffer: SharedArrayBuffer | ArrayBuffer;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly doubles: Float64Array;
  readonly geometry: Geometry;
  readonly rules: Rules;
  readonly isShared: boolean;
  /** First word of the page contents; 0 for none. */
  readonly contentsAt: number;
  /** Shared, or with contents: the short ways through a fault and over whole tables are closed. */
  isCareful: boolean;
  /** Entries of a table, address bits of a level, index mask, and pages per unit of `hi`. */
  readonly entryCount: number;
  readonly bits: number;
  readonly mask: number;
  readonly loPages: number;
  /** Pages that an entry of each level spans; one more level than there is, for what a root spans. */
  readonly spans: readonly number[];
  readonly zoneCount: number;
  readonly blockCount: number;
  readonly zonesAt: number;
  readonly blocksAt: number;
  readonly arenaLock: number = L.H_ARENA_LOCK;
  /** This thread's cpu number and area. */
  readonly cpu: number;
  readonly cpuAt: number;
  /** Zone that ordinary allocations try first: the last one that has memory. */
  preferredZone = 0;
  /** This thread's frame lists of that zone. */
  preferredPcp = 0;
  /** This thread's counters in an address space's record. */
  readonly countersAt: number;
  readonly events: MachineEvents = noEvents();
  /** Stored tables that reclaim has opened for the moment (tables/stored.ts). */
  readonly opened: number[] = [];
  /** Migrate types of page tables and of objects' index tables; MIGRATE_MOVABLE: they can move. */
  tableMigrateType: number = MIGRATE_UNMOVABLE;
  indexMigrateType: number = MIGRATE_RECLAIMABLE;

  /** Reclaim in the background, and what reclaim did. */
  readonly kswapd: KswapdState = noKswapd();
  readonly vmstat: Vmstat = noVmstat();

  /** Frames kept together for a region (frames/reservation.ts). */
  readonly reservations: ReservationState = noReservations();

  /** Tables that several address spaces have (tables/shared-table.ts); null where nobody shares. */
  sharing: TableSharing | null = null;

  /** What fork did since the machine was made. */
  readonly forkWork: ForkWork = noForkWork();

  /** Pages that this thread has given up by MADV_FREE, ever. */
  lazyFrees = 0;
  /** How often an allocation of this thread found memory short: what it had looked up may be gone. */
  reclaims = 0;

  /** Last-level tables that this thread freed for being empty, in any address space. */
  tablesFreed = 0;
  /** Last-level tables that this thread made in address spaces. */
  tablesMade = 0;

  /** Touches that came through before `touchRange` stopped at one that did not. */
  touchedPages = 0;
  /** Out-parameters of calls that find two things; valid until the next call. */
  foundFrame = 0;
  foundIndex = 0;

  /** Address space whose mmap_lock this thread holds for writing: its own faults need no lock. */
  writerOf = 0;

  /** Between `goOnline` and `goOffline` (threads/world.ts); true also inside single operations. */
  isOnline = false;
  /** The stored table that this thread has open, for which it stopped the world; 0 for none. */
  stoppedFor = 0;
  /** This thread has stopped the world: it needs no locks, and nothing else moves. */
  isWorldStopped = false;
  /** What the other threads had done when the running grace period began (threads/grace.ts). */
  readonly graceTicks: Int32Array = new Int32Array(MAX_CPUS);
  /** How often this thread's operation has made room for its allocations (frames/make-room.ts). */
  roomRounds = 0;
  /** How references to last-level tables are counted (REFS_*, tables/table-refs.ts). */
  tableRefs = 0;
  /** What T_COUNT was when this thread locked the tables that it holds, at most two. */
  readonly lockedCounts: Int32Array = new Int32Array(4);
  lockedTables = 0;
  /** Tables on this thread's list of those taken away since then. */
  deferredCount = 0;

  /** An allocation that must not compact found no 2 MiB since kcompactd last worked. */
  isKcompactdWoken = false;
  /** vm.compaction_proactiveness, 0 to 100; 0 is off. */
  compactionProactiveness = 0;
  /** Transparent huge pages; never on for a shared machine. */
  huge: HugePageSettings = HUGE_PAGE_DEFAULTS;
  /** Faults may give huge pages: not where there are none, or a mechanism makes them in the background. */
  hasHugeFaults = false;
  /** khugepaged runs where faults may give huge pages: not where a mechanism stands in its place. */
  hasKhugepaged = true;
  /** Pages of 16 KiB to 1 MiB: the orders that faults may give; null where all are `never`. */
  sizeOrders: SizeOrders | null = null;
  /** By order: faults that gave such a page, and that found no such block (anon_fault_alloc, _fallback). */
  readonly sizeFaults: Float64Array = new Float64Array(L.BLOCK_SHIFT);
  readonly sizeFallbacks: Float64Array = new Float64Array(L.BLOCK_SHIFT);
  /** Faults that found no 2 MiB in one piece (thp_fault_fallback), and compactions that they ran. */
  hugeFallbacks = 0;
  compactionsInFault = 0;
  /** Small pages made huge ones, by whoever. */
  collapses = 0;
  /** What compaction did since the machine was made, whoever asked for it. */
  readonly compactionWork: CompactionWork = noCompactionWork();
  /** Pages that faults gave beside the one that was touched, in pages of 16 KiB to 1 MiB. */
  sizeExtraPages = 0;
  /** Frames that a thread zeroed ahead of need, and those of them that faults need not zero (HawkEye). */
  readonly zeroing: { ahead: number; found: number } = { ahead: 0, found: 0 };
  /** Huge pages split since memory was short (thp_deferred_split_page is when they began to wait). */
  deferredSplits = 0;
  /** Of huge pages with all their mappings, those split for being mostly zeros (thp_underused_split_page). */
  underusedSplits = 0;

  /** Kinds of objects that are mapped by whole tables (objects/window.ts). */
  readonly windowOps: WindowOps[] = [];
  /** References to tables and pages that several entries lead to; null before the first (counts/). */
  shareCounts: CountTable | null = null;
  shareCountKind: CountKind | null = null;

  /** Pages of 2 MiB set aside; null where there are none of that size, and on shared machines. */
  hugetlb: Hugetlb | null = null;

  /** Samepage merging; null where there is none. */
  ksm: Ksm | null = null;
  /** Pages written with contents that nobody said (fault/fill.ts). */
  unknownContents = 0;

  /** Cache of the last walk: address space, hi, index in the second-lowest table, leaf table. */
  walkOwner = 0;
  walkHi = 0;
  walkSlot = 0;
  walkLeaf = 0;
  /** The address space's sequence number then, and the VMA's flags; only for shared machines. */
  walkSeq = 0;
  walkFlags = 0;
  /** The VMA's anon_vma (F_MAPPING); only for shared machines. */
  walkAnonVma = 0;
  /** The VMA, where it is private anonymous, was written and covers the whole slot; else 0. */
  walkVma = 0;
  /** Index (F_INDEX) of the slot's first page in that VMA's anon_vma. */
  walkIndexBase = 0;

  private constructor(
    buffer: SharedArrayBuffer | ArrayBuffer,
    geometry: Geometry,
    rules: Rules,
    cpu: number,
    isShared: boolean,
  ) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.doubles = new Float64Array(buffer);
    this.geometry = geometry;
    this.rules = rules;
    this.isShared = isShared;
    this.contentsAt = this.words[L.H_CONTENTS];
    this.isCareful = isShared || this.contentsAt !== 0;
    this.bits = geometry.bits;
    this.entryCount = 1 << geometry.bits;
    this.mask = this.entryCount - 1;
    this.loPages = this.entryCount * this.entryCount;
    this.spans = [0, 1, 2, 3, 4, 5, 6].map((level) => this.entryCount ** level);
    this.zoneCount = this.words[L.H_ZONES];
    this.blockCount = this.words[L.H_BLOCKS];
    this.zonesAt = L.HEADER_WORDS + this.words[L.H_CPUS] * L.CPU_WORDS;
    this.blocksAt = this.zonesAt + L.MAX_ZONES * L.ZONE_WORDS;
    this.cpu = cpu;
    this.cpuAt = L.HEADER_WORDS + cpu * L.CPU_WORDS;
    this.preferZone();
    this.countersAt = MM_COUNTERS + cpu * MM_COUNTER_WORDS;
  }

  /** Lays out a new machine. Throws InputError for sizes that cannot be. */
  static create(options: MachineOptions = {}): Machine {
    const geometry = options.geometry ?? X86_64_4LEVEL;
    checkGeometry(geometry);
    const cpus = options.cpus ?? 1;
    assert(cpus >= 1 && cpus <= MAX_CPUS, `cpus ${cpus} not in 1..${MAX_CPUS}`);
    const nodeBytes = options.nodeBytes ?? [24 * 2 ** 30];
    const frames = nodeBytes.map((bytes) => bytes / 4096);
    for (const [node, count] of frames.entries()) {
      if (count % 1024 !== 0 || count < 1024) {
        throw new InputError(`node ${node}: ${nodeBytes[node]} bytes is no multiple of 4 MiB`);
      }
    }
    const memoryBlock = (options.memoryBlockBytes ?? DEFAULT_MEMORY_BLOCK_BYTES) / 4096;
    const plan = planMemory(options, frames, memoryBlock);
    const frameCount = plan.max.reduce((sum, count) => sum + count, 0);
    if (frameCount > 2 ** 30) throw new InputError('more than 4 TiB of modelled memory');
    const mib = Math.min(options.bufferMiB ?? DEFAULT_BUFFER_MIB, MAX_BUFFER_MIB);
    const buffer = allocateBuffer(mib * 2 ** 20);
    const words = new Int32Array(buffer);
    words[L.H_MAGIC] = L.MAGIC;
    words[L.H_VERSION] = L.VERSION;
    words[L.H_LEVELS] = geometry.levels;
    words[L.H_BITS] = geometry.bits;
    words[L.H_CPUS] = cpus;
    words[L.H_BLOCKS] = frameCount / L.BLOCK_FRAMES;
    words[L.H_FRAMES] = frames.reduce((sum, count) => sum + count, 0);
    words[L.H_MEMORY_BLOCK] = memoryBlock;
    const zones = planZones(plan);
    words[L.H_ZONES] = zones.length;
    const isShared = options.isShared ?? false;
    if (options.hasContents === true || options.ksm !== undefined)
      words[L.H_CONTENTS] = planContents(words, options.swapBytes);
    const m = new Machine(buffer, geometry, options.rules ?? LINUX_6_18, 0, isShared);
    m.huge = { ...HUGE_PAGE_DEFAULTS, ...options.huge };
    m.hasHugeFaults = m.huge.enabled !== 'disabled';
    m.setSizeOrders(sizeOrdersOf(m.huge));
    assert(!isShared || !m.hasHugeFaults, 'huge pages are for machines of one thread');
    m.compactionProactiveness = options.compactionProactiveness ?? (m.hasHugeFaults ? 20 : 0);
    formatArena(m);
    formatZones(m, zones, cpus);
    m.preferZone();
    formatSwap(m, options.swapBytes ?? 0);
    return m;
  }

  /** Which sizes faults may give: with any, every fault takes the general way. */
  setSizeOrders(orders: SizeOrders): void {
    const isAny = (orders.always | orders.madvise | orders.inherit) !== 0 && this.hasHugeFaults;
    this.sizeOrders = isAny && this.entryCount === L.BLOCK_FRAMES ? orders : null;
    if (this.sizeOrders !== null) this.isCareful = true;
  }

  /**
   * Gives the buffer back for the next machine of its size, zeroed: fresh memory costs the host more
   * than what is there. Nobody may use this machine, or another thread's handle on it, afterwards.
   */
  release(): void {
    const w = this.words;
    const used = w[L.H_ARENA_NEXT];
    if (used * 4 > SPARE_USED_MAX_BYTES) return;
    // The lists' arrays are two thirds of what a small replay uses, and mostly untouched.
    clearPcpArrays(this);
    w.fill(0, w[L.H_PCP_END], used);
    w.fill(0, 0, w[L.H_PCP_START]);
    if (this.contentsAt !== 0) w.fill(0, this.contentsAt);
    spareBuffer = this.buffer;
  }

  /** Another thread's handle on the same machine. Geometry and rules are the creator's. */
  static attach(buffer: SharedArrayBuffer, cpu: number, geometry: Geometry, rules: Rules): Machine {
    const words = new Int32Array(buffer);
    if (words[L.H_MAGIC] !== L.MAGIC || words[L.H_VERSION] !== L.VERSION) {
      throw new InputError(`no pagelab machine of version ${L.VERSION} in this buffer`);
    }
    const isSame = words[L.H_LEVELS] === geometry.levels && words[L.H_BITS] === geometry.bits;
    assert(isSame, 'geometry of another machine');
    assert(cpu < words[L.H_CPUS], `cpu ${cpu} beyond the machine's ${words[L.H_CPUS]}`);
    return new Machine(buffer, geometry, rules, cpu, true);
  }

  /** Spins on a lock word (0 free, 1 held). Only shared machines come here. */
  lock(at: number): void {
    const w = this.words;
    while (Atomics.compareExchange(w, at, 0, 1) !== 0) {
      for (let spins = 0; Atomics.load(w, at) !== 0; ) if (++spins > SPINS) pause(w, at, 1);
    }
  }

  /** Takes the lock if it is free. */
  tryLock(at: number): boolean {
    return Atomics.compareExchange(this.words, at, 0, 1) === 0;
  }

  unlock(at: number): void {
    Atomics.store(this.words, at, 0);
  }

  /** Chooses the zone of ordinary allocations; hot-plug changes which zones have memory. */
  preferZone(): void {
    let zone = this.zoneCount - 1;
    while (zone > 0 && this.words[this.zonesAt + zone * L.ZONE_WORDS + L.Z_MANAGED] === 0) zone--;
    this.preferredZone = zone;
    this.preferredPcp = this.cpuAt + L.CPU_PCP + zone * L.PCP_WORDS;
  }

  /** Forgets the last walk; whoever frees or moves a table, or changes a VMA's bounds, calls it. */
  forgetWalk(): void {
    this.walkOwner = 0;
  }
}

/** Looks at a held lock before the thread gives its processor away: the holder may wait for one. */
const SPINS = 200;

/** A released machine's buffer, all zero; the next machine of its size takes it. */
let spareBuffer: SharedArrayBuffer | ArrayBuffer | null = null;
/** Above that, a fresh buffer is cheaper than zeroing, and the memory better given back. */
const SPARE_USED_MAX_BYTES = 64 * 2 ** 20;

function allocateBuffer(byteLength: number): SharedArrayBuffer | ArrayBuffer {
  if (spareBuffer !== null) {
    const buffer = spareBuffer;
    spareBuffer = null;
    if (buffer.byteLength === byteLength) return buffer;
  }
  // Pages without cross-origin isolation have no SharedArrayBuffer.
  return typeof SharedArrayBuffer === 'undefined'
    ? new ArrayBuffer(byteLength)
    : new SharedArrayBuffer(byteLength);
}

/**
 * What `formatZones` builds: node, kind (ZONE_*), the frame numbers that the zone can ever have, and
 * those of them that are there at the start.
 */
export interface ZonePlan {
  node: number;
  kind: number;
  start: number;
  frames: number;
  bootStart: number;
  bootFrames: number;
}

/** Frames of each node: at the start, of these in zone Movable, and at most. */
interface MemoryPlan {
  boot: readonly number[];
  movable: readonly number[];
  max: readonly number[];
}

function planMemory(
  options: MachineOptions,
  boot: readonly number[],
  memoryBlock: number,
): MemoryPlan {
  if (memoryBlock < 1024 || !Number.isInteger(Math.log2(memoryBlock))) {
    throw new InputError(`a memory block of ${options.memoryBlockBytes} bytes cannot be`);
  }
  const framesOf = (bytes: readonly number[] | undefined, what: string): number[] | undefined =>
    bytes?.map((count, node) => {
      if ((count / 4096) % memoryBlock === 0) return count / 4096;
      throw new InputError(`node ${node}: ${what} is no multiple of a memory block`);
    });
  const max = framesOf(options.maxNodeBytes, 'the most memory') ?? boot;
  const movable = framesOf(options.movableBytes, 'movable memory') ?? boot.map(() => 0);
  for (const [node, frames] of boot.entries()) {
    const [most = 0, mobile = 0] = [max[node], movable[node]];
    const mayMove = most > frames || mobile > 0;
    if (most < frames) throw new InputError(`node ${node}: more memory than the most`);
    if (mobile >= frames) throw new InputError(`node ${node}: all of its memory is movable`);
    if (mayMove && frames % memoryBlock !== 0) {
      throw new InputError(`node ${node}: its memory is no multiple of a memory block`);
    }
  }
  return { boot, movable, max };
}

/**
 * As on x86-64: what lies below 4 GiB is DMA32, the rest Normal; one Normal zone a node. A node that
 * has movable memory or can get more has a zone Movable, whose span is the whole node. Movable zones
 * come last, so that they are allocated from first.
 */
function planZones({ boot, movable, max }: MemoryPlan): ZonePlan[] {
  const below4GiB = 2 ** 20;
  const zones: ZonePlan[] = [];
  const movableZones: ZonePlan[] = [];
  let start = 0;
  for (const [node, frames] of max.entries()) {
    const low = Math.max(0, Math.min(frames, below4GiB - start));
    const bootEnd = start + (boot[node] ?? 0);
    const movableStart = bootEnd - (movable[node] ?? 0);
    const add = (kind: number, from: number, to: number): void => {
      const bootFrames = Math.max(0, Math.min(movableStart, to) - from);
      zones.push({ node, kind, start: from, frames: to - from, bootStart: from, bootFrames });
    };
    if (low > 0) add(ZONE_DMA32, start, start + low);
    if (frames > low) add(ZONE_NORMAL, start + low, start + frames);
    if (movableStart < start + frames) {
      const bootFrames = bootEnd - movableStart;
      movableZones.push({
        ...{ node, kind: ZONE_MOVABLE, start, frames },
        ...{ bootStart: movableStart, bootFrames },
      });
    }
    start += frames;
  }
  zones.push(...movableZones);
  assert(zones.length <= L.MAX_ZONES, `${zones.length} zones, at most ${L.MAX_ZONES}`);
  return zones;
}

/** The contents stand at the buffer's end: a word a frame, a word a swap slot (from 1). */
function planContents(words: Int32Array, swapBytes = 0): number {
  const count = words[L.H_FRAMES] + Math.floor(swapBytes / 4096) + 1;
  return (words.length - count) & ~7;
}

function formatArena(m: Machine): void {
  const w = m.words;
  w[L.H_ARENA_NEXT] = (m.blocksAt + m.blockCount * L.BLOCK_WORDS + 7) & ~7;
  w[L.H_ARENA_END] = m.contentsAt === 0 ? w.length : m.contentsAt;
  if (w[L.H_ARENA_NEXT] + 65536 > w[L.H_ARENA_END]) {
    const needMiB = Math.ceil((w[L.H_ARENA_NEXT] * 4) / 2 ** 20) + 64;
    throw new InputError(`this machine needs a buffer of at least ${needMiB} MiB (bufferMiB)`);
  }
  const contentsWords = m.entryCount + m.entryCount / 4;
  w[L.H_ZERO_CONTENTS] = w[L.H_ARENA_NEXT];
  w[L.H_UNIFORM_CONTENTS] = w[L.H_ZERO_CONTENTS] + ((contentsWords + 7) & ~7);
  w.fill(-1, w[L.H_UNIFORM_CONTENTS], w[L.H_UNIFORM_CONTENTS] + m.entryCount);
  w[L.H_ARENA_NEXT] = w[L.H_UNIFORM_CONTENTS] + ((contentsWords + 7) & ~7);
}

function formatSwap(m: Machine, swapBytes: number): void {
  const slots = Math.floor(swapBytes / 4096);
  const w = m.words;
  w[L.H_SWAP_SLOTS] = slots;
  w[L.H_SWAP_NEXT] = 1;
  if (slots === 0) return;
  w[L.H_SWAP_MAP] = w[L.H_ARENA_NEXT];
  w[L.H_SWAP_CACHE] = w[L.H_SWAP_MAP] + ((slots + 8) & ~7);
  w[L.H_ARENA_NEXT] = w[L.H_SWAP_CACHE] + ((slots + 8) & ~7);
  assert(w[L.H_ARENA_NEXT] < w[L.H_ARENA_END], 'swap map larger than the buffer');
}
