import { assert, InputError } from '../../base/index.ts';
import { bufferBytes, classOf, formatMemory, headWords, reserveWords } from './count-memory.ts';
import type { CountKind, CountOptions, CountTable } from './count-table.ts';
import { mix32 } from './mix.ts';
import { L_OWN, L_SIDE_LOCK, SIDE_WORDS, SideCounts } from './side-counts.ts';

/**
 * The best hash that we could make for scattered frames: one word an entry, 16 entries a line of 64
 * bytes, one line a probe.
 *
 * The frame number is mixed by a bijection. The upper bits of the hash name a segment, the rest is the
 * entry's tag, so the tag and the segment are the key and no pointer or key is stored; the low bits
 * of an entry are the count. A segment has a line of its own (lock, slots, entries used) and a
 * block of lines that doubles above 3/4 and halves below 3/16, under the segment's lock: a resize stops
 * one segment of many and takes microseconds.
 *
 * A tag's home line is its low bits; where lines are full it stands in the next one that is not. So a
 * search ends at the first line with room, and who makes room in a full line takes an entry back
 * into it. Readers take no lock: the lock word counts up twice a change, and odd means locked.
 */

const LINE = 16;
const SEGMENT_WORDS = 16;
/** Words of a segment's line. */
const S_LOCK = 0;
const S_AT = 1;
/** log2 of the lines; undefined while S_AT is 0. */
const S_LOG = 2;
const S_USED = 3;
/** log2 of the number of segments, and bits of an entry's count. */
const H_LOG: number = L_OWN;
const H_SEGMENTS: number = L_OWN + 1;
const LOG_MIN = 8;
const LOG_MAX = 14;

/** Some 512 entries a segment at the most that there shall be. */
function segmentLog({ entries }: CountOptions): number {
  return Math.min(LOG_MAX, Math.max(LOG_MIN, classOf(Math.ceil(entries / 512))));
}

export const LINE_HASH: CountKind = {
  name: 'line-hash',
  bytesFor(options) {
    if (!(options.entries >= 1))
      throw new InputError(`entries ${options.entries}: want at least 1`);
    const segments = 2 ** segmentLog(options);
    // Load 3/8 at worst, and the smaller blocks that growth left behind; uneven segments.
    const blocks = options.entries * 8 + segments * 4 * LINE;
    const fixed = segments * SEGMENT_WORDS + headWords(options.workers) + 256;
    const lists = options.workers * 128 * LINE;
    return bufferBytes(fixed + blocks + lists + SIDE_WORDS * options.entries, options.workers);
  },
  format(buffer, options) {
    const words = formatMemory(buffer, options.workers);
    const log = segmentLog(options);
    words[H_LOG] = log;
    words[H_SEGMENTS] = reserveWords(words, SEGMENT_WORDS << log);
  },
  attach: (buffer, worker) => new LineHash(buffer, worker),
};

export class LineHash extends SideCounts implements CountTable {
  readonly #log: number;
  readonly #segments: number;
  /** Bits of an entry that are the count; at its largest value the count stands aside. */
  readonly #countMask: number;
  /** Where #find met a free slot; -1 where it did not. */
  #freeSlot = -1;

  constructor(buffer: ArrayBufferLike, worker: number) {
    super(buffer, worker, 0);
    this.#log = this.words[H_LOG];
    this.#segments = this.words[H_SEGMENTS];
    this.#countMask = (1 << this.#log) - 1;
  }

  #segmentOf(hash: number): number {
    return this.#segments + (hash >>> (32 - this.#log)) * SEGMENT_WORDS;
  }

  #lockSegment(segment: number): void {
    const w = this.words;
    for (let spins = 0; ; spins++) {
      const old = w[segment + S_LOCK];
      if ((old & 1) === 0) {
        if (Atomics.compareExchange(w, segment + S_LOCK, old, (old + 1) | 0) === old) return;
      } else this.wait(segment + S_LOCK, Atomics.load(w, segment + S_LOCK) | 1, spins);
    }
  }

  #unlockSegment(segment: number): void {
    Atomics.store(this.words, segment + S_LOCK, (this.words[segment + S_LOCK] + 1) | 0);
  }

  /** The slot of the tag (in place in the upper bits of a word), or -1; notes a free slot on the way. */
  #find(at: number, lineMask: number, tagWord: number): number {
    const w = this.words;
    const log = this.#log;
    const keep = ~this.#countMask;
    let line = (tagWord >>> log) & lineMask;
    for (let lines = 0; lines <= lineMask; lines++) {
      const first = at + line * LINE;
      let free = -1;
      for (let slot = first; slot < first + LINE; slot++) {
        const entry = w[slot];
        if (entry === 0) free = slot;
        else if ((entry & keep) === tagWord) return slot;
      }
      this.#freeSlot = free;
      if (free >= 0) return -1;
      line = (line + 1) & lineMask;
    }
    return -1;
  }

  get(frame: number): number {
    const w = this.words;
    const hash = mix32(frame);
    const segment = this.#segmentOf(hash);
    for (let spins = 0; ; spins++) {
      const version = Atomics.load(w, segment + S_LOCK);
      if ((version & 1) !== 0) {
        this.wait(segment + S_LOCK, version, spins);
        continue;
      }
      const at = w[segment + S_AT];
      let count = 1;
      if (at !== 0) {
        const slot = this.#find(at, (1 << w[segment + S_LOG]) - 1, hash << this.#log);
        if (slot >= 0) count = w[slot] & this.#countMask;
      }
      if (Atomics.load(w, segment + S_LOCK) !== version) continue;
      return count === this.#countMask ? this.#asideCount(segment, frame) : count;
    }
  }

  #asideCount(segment: number, frame: number): number {
    const w = this.words;
    const tagWord = mix32(frame) << this.#log;
    this.#lockSegment(segment);
    const at = w[segment + S_AT];
    const slot = at === 0 ? -1 : this.#find(at, (1 << w[segment + S_LOG]) - 1, tagWord);
    let count = slot < 0 ? 1 : w[slot] & this.#countMask;
    if (count === this.#countMask) count = this.#aside(frame, 0);
    this.#unlockSegment(segment);
    return count;
  }

  inc(frame: number): number {
    const w = this.words;
    const hash = mix32(frame);
    const tagWord = hash << this.#log;
    const segment = this.#segmentOf(hash);
    this.#lockSegment(segment);
    const at = w[segment + S_AT];
    const slot = at === 0 ? -1 : this.#find(at, (1 << w[segment + S_LOG]) - 1, tagWord);
    let count = 2;
    if (slot >= 0) {
      count = (w[slot] & this.#countMask) + 1;
      if (count < this.#countMask) w[slot] += 1;
      else count = this.#incAside(slot, frame, count);
    } else this.#insert(segment, tagWord);
    this.#unlockSegment(segment);
    return count;
  }

  dec(frame: number): number {
    const w = this.words;
    const hash = mix32(frame);
    const segment = this.#segmentOf(hash);
    this.#lockSegment(segment);
    const at = w[segment + S_AT];
    const lineMask = (1 << w[segment + S_LOG]) - 1;
    const slot = at === 0 ? -1 : this.#find(at, lineMask, hash << this.#log);
    let count = 0;
    if (slot >= 0) {
      count = w[slot] & this.#countMask;
      if (count === this.#countMask) count = this.#decAside(slot, frame);
      else {
        count -= 1;
        if (count > 1) w[slot] -= 1;
        else this.#remove(segment, slot);
      }
    }
    this.#unlockSegment(segment);
    return count;
  }

  /** The count that stands aside, changed by `delta`. */
  #aside(frame: number, delta: number): number {
    const w = this.words;
    this.lock(L_SIDE_LOCK);
    const slot = this.sideSlot(frame);
    w[slot + 1] += delta;
    const count = w[slot + 1];
    this.unlock(L_SIDE_LOCK);
    return count;
  }

  #incAside(slot: number, frame: number, count: number): number {
    if (count > this.#countMask) return this.#aside(frame, 1);
    this.words[slot] += 1;
    this.lock(L_SIDE_LOCK);
    this.sideInsert(frame, count);
    this.unlock(L_SIDE_LOCK);
    return count;
  }

  /** Back in the entry only at half, so that a count at the edge does not move to and fro. */
  #decAside(slot: number, frame: number): number {
    const w = this.words;
    const count = this.#aside(frame, -1);
    if (count > this.#countMask >> 1) return count;
    this.lock(L_SIDE_LOCK);
    this.sideDelete(this.sideSlot(frame));
    this.unlock(L_SIDE_LOCK);
    w[slot] = (w[slot] & ~this.#countMask) | count;
    return count;
  }

  /** A new entry of count 2; #find has just looked for it. */
  #insert(segment: number, tagWord: number): void {
    const w = this.words;
    const used = w[segment + S_USED] + 1;
    if (w[segment + S_AT] === 0) this.#resize(segment, 0);
    else if (used * 4 > (3 * LINE) << w[segment + S_LOG]) {
      this.#resize(segment, w[segment + S_LOG] + 1);
    } else {
      w[this.#freeSlot] = tagWord | 2;
      w[segment + S_USED] = used;
      this.addEntries(1);
      return;
    }
    this.#put(w[segment + S_AT], (1 << w[segment + S_LOG]) - 1, tagWord | 2);
    w[segment + S_USED] = used;
    this.addEntries(1);
  }

  /** Puts an entry that is not there into the first line with room. */
  #put(at: number, lineMask: number, entry: number): void {
    const slot = this.#find(at, lineMask, entry & ~this.#countMask);
    assert(slot < 0 && this.#freeSlot >= 0, 'line-hash: no room');
    this.words[this.#freeSlot] = entry;
  }

  #remove(segment: number, slot: number): void {
    const w = this.words;
    const used = w[segment + S_USED] - 1;
    const log = w[segment + S_LOG];
    w[segment + S_USED] = used;
    this.addEntries(-1);
    this.#takeBack(w[segment + S_AT], (1 << log) - 1, slot);
    if (used === 0) {
      this.free(classOf(LINE << log), w[segment + S_AT]);
      w[segment + S_AT] = 0;
    } else if (log > 0 && used * 16 < (3 * LINE) << log) this.#resize(segment, log - 1);
  }

  /**
   * Frees a slot. If its line was full, entries that belong here or before may stand in the lines
   * behind, up to the first with room: one of them comes here, and leaves a gap in turn.
   */
  #takeBack(at: number, lineMask: number, slot: number): void {
    const w = this.words;
    let hole = slot;
    let line = (hole - at) >> 4;
    for (;;) {
      w[hole] = 0;
      if (!this.#wasFull(at + line * LINE, hole)) return;
      const holeLine = line;
      let from = -1;
      for (let steps = 1; steps <= lineMask && from < 0; steps++) {
        line = (holeLine + steps) & lineMask;
        const first = at + line * LINE;
        let hasRoom = false;
        for (let i = first; i < first + LINE; i++) {
          const entry = w[i];
          if (entry === 0) hasRoom = true;
          else if (((line - (entry >>> this.#log)) & lineMask) >= steps) from = i;
        }
        if (from < 0 && hasRoom) return;
      }
      if (from < 0) return;
      w[hole] = w[from];
      hole = from;
    }
  }

  #wasFull(first: number, hole: number): boolean {
    for (let i = first; i < first + LINE; i++) {
      if (this.words[i] === 0 && i !== hole) return false;
    }
    return true;
  }

  #resize(segment: number, log: number): void {
    const w = this.words;
    const oldAt = w[segment + S_AT];
    const oldLog = w[segment + S_LOG];
    const at = this.alloc(classOf(LINE << log));
    const lineMask = (1 << log) - 1;
    w.fill(0, at, at + (LINE << log));
    if (oldAt !== 0) {
      const end = oldAt + (LINE << oldLog);
      for (let slot = oldAt; slot < end; slot++) {
        if (w[slot] !== 0) this.#put(at, lineMask, w[slot]);
      }
      this.free(classOf(LINE << oldLog), oldAt);
    }
    w[segment + S_AT] = at;
    w[segment + S_LOG] = log;
  }

  incBatch(frames: Int32Array, from: number, n: number): void {
    for (let i = from; i < from + n; i++) this.inc(frames[i]);
  }

  decBatch(frames: Int32Array, from: number, n: number, gone: Int32Array): number {
    let goneCount = 0;
    for (let i = from; i < from + n; i++) {
      if (this.dec(frames[i]) === 0) gone[goneCount++] = frames[i];
    }
    return goneCount;
  }

  incRun(first: number, n: number): void {
    for (let i = 0; i < n; i++) this.inc((first + i) | 0);
  }

  decRun(first: number, n: number, gone: Int32Array): number {
    let goneCount = 0;
    for (let i = 0; i < n; i++) {
      if (this.dec((first + i) | 0) === 0) gone[goneCount++] = (first + i) | 0;
    }
    return goneCount;
  }

  validate(): void {
    const w = this.words;
    let entries = 0;
    let aside = 0;
    let words = (SEGMENT_WORDS << this.#log) + this.sideWords();
    for (let i = 0; i < 1 << this.#log; i++) {
      const segment = this.#segments + i * SEGMENT_WORDS;
      assert((w[segment + S_LOCK] & 1) === 0, `line-hash: segment ${i} is locked`);
      const at = w[segment + S_AT];
      if (at === 0) continue;
      const slots = LINE << w[segment + S_LOG];
      words += slots;
      let used = 0;
      for (let slot = at; slot < at + slots; slot++) {
        if (w[slot] === 0) continue;
        used += 1;
        if ((w[slot] & this.#countMask) === this.#countMask) aside += 1;
        assert((w[slot] & this.#countMask) > 1, `line-hash: a count of 1 in segment ${i}`);
        const found = this.#find(at, slots / LINE - 1, w[slot] & ~this.#countMask);
        assert(found === slot, `line-hash: an entry of segment ${i} cannot be found`);
      }
      assert(used === w[segment + S_USED], `line-hash: segment ${i}: ${used} entries`);
      assert(used > 0 && used * 4 <= slots * 3, `line-hash: segment ${i}: ${used} of ${slots}`);
      entries += used;
    }
    assert(entries === this.entries(), `line-hash: ${entries} entries, ${this.entries()} noted`);
    this.validateSide(aside, (this.#countMask >> 1) + 1);
    assert(
      words * 4 === this.bytesInUse(),
      `line-hash: ${words} words, ${this.bytesInUse()} bytes`,
    );
  }
}
