import {
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type Random,
} from '../../base/index.ts';
import { emptyEvent, Op, type TraceEvent } from '../../trace/index.ts';
import { type LayoutName, PAGE_BYTES, PlacePicker, SLOT_BYTES } from './layouts.ts';
import { type Feature, type Profile, profileAdvices } from './profiles.ts';
import type { Answer, Window } from './subject.ts';

export interface GeneratorOptions {
  readonly random: Random;
  readonly layout: LayoutName;
  readonly profile: Profile;
}

/** Names of the memfds that `file` mappings use; each is given a size before anything else. */
const FILE_NAMES = ['memfd:a', 'memfd:b'] as const;
/** Touching many pages takes time and memory and tells little more than touching some. */
const POPULATE_BYTES_MAX: number = 2 * SLOT_BYTES;

/**
 * Random memory operations of several processes, without end. The same seed gives the same events.
 * Nothing is known of which addresses are mapped: holes, overlaps and refused calls are wanted.
 */
export class OperationGenerator {
  readonly #random: Random;
  readonly #layout: LayoutName;
  readonly #profile: Profile;
  readonly #places: PlacePicker;
  readonly #advices: readonly number[];
  /** Processes that operations are drawn for; and those that run once all given so far is done. */
  readonly #live: number[] = [1];
  readonly #running = new Set([1]);
  readonly #queue: TraceEvent[] = [];
  #lastPid = 1;

  constructor(options: GeneratorOptions) {
    this.#random = options.random;
    this.#layout = options.layout;
    this.#profile = options.profile;
    this.#places = new PlacePicker(
      options.layout,
      options.random,
      options.profile.features.has('hugepages'),
    );
    this.#advices = profileAdvices(options.profile);
    if (this.#has('file')) {
      for (const file of FILE_NAMES) this.#queue.push(this.#truncate(1, file));
    }
  }

  get windows(): readonly Window[] {
    return this.#places.windows;
  }

  /** The next `count` events as a list. */
  take(count: number): TraceEvent[] {
    return Array.from({ length: count }, () => this.next());
  }

  next(): TraceEvent {
    for (let queued = this.#queue.shift(); queued !== undefined; queued = this.#queue.shift()) {
      if (this.#running.has(queued.pid)) return this.#given(queued);
      // Its process ended by what stood before it in the queue: a child of it never comes to be.
      const born = queued.op === Op.fork ? this.#live.indexOf(queued.child) : -1;
      if (born >= 0) this.#live.splice(born, 1);
    }
    const pid = this.#random.chance(0.5) ? 1 : this.#random.pick(this.#live);
    const event = this.#draw(pid);
    if (event.len > 0) {
      this.#places.remember(event.addr, event.len, event.op === Op.mmap);
    }
    const isSpoilt = this.#has('errors') && this.#random.chance(0.03);
    return this.#given(isSpoilt ? this.#spoil(event) : event);
  }

  #given(event: TraceEvent): TraceEvent {
    if (event.op === Op.fork) this.#running.add(event.child);
    else if (event.op === Op.exit) this.#running.delete(event.pid);
    return event;
  }

  /** Tells where the kernel placed a mapping, so that later operations can meet it. */
  onAnswer(event: TraceEvent, answer: Answer): void {
    if (answer.ok && answer.addr !== undefined) {
      this.#places.remember(answer.addr, event.newLen || event.len, true);
    }
  }

  #has(feature: Feature): boolean {
    return this.#profile.features.has(feature);
  }

  #draw(pid: number): TraceEvent {
    if (this.#has('sizes') && this.#random.chance(0.05)) return this.#sizesBurst(pid);
    if (this.#has('hugepages') && this.#random.chance(0.05)) return this.#hugeBurst(pid);
    if (this.#has('thpdisable') && this.#random.chance(0.01)) return this.#thpDisable(pid);
    const roll = this.#random.below(1000);
    if (roll < 190) return this.#mmap(pid);
    if (roll < 260) return this.#range(pid, Op.munmap);
    if (roll < 360) return { ...this.#range(pid, Op.mprotect), prot: this.#prot() };
    if (roll < 460) return this.#mremap(pid);
    if (roll < 660) return this.#madvise(pid);
    if (roll < 930) return this.#touch(pid);
    if (roll < 955) return this.#forkOrExit(pid);
    if (roll < 980 && this.#has('mlock')) return this.#lock(pid);
    if (this.#has('file')) return this.#fileOperation(pid);
    return this.#touch(pid);
  }

  /** Whole slots mapped, then what brings huge pages into them: by chance they meet too rarely. */
  #hugeBurst(pid: number): TraceEvent {
    const random = this.#random;
    const mmap = { ...this.#mmap(pid), prot: PROT_READ | PROT_WRITE };
    const slots = Math.ceil(mmap.len / SLOT_BYTES);
    mmap.addr = Math.floor(mmap.addr / SLOT_BYTES) * SLOT_BYTES;
    mmap.len = Math.min(slots, 3) * SLOT_BYTES;
    const { addr, len } = mmap;
    const advise = (advice: number): TraceEvent => ({
      ...emptyEvent(),
      op: Op.madvise,
      pid,
      addr,
      len,
      advice,
    });
    const touch = (): TraceEvent => ({
      ...emptyEvent(),
      op: Op.touch,
      pid,
      addr: addr + random.below(len / PAGE_BYTES) * PAGE_BYTES,
      isWrite: random.chance(0.6),
    });
    const isByFault = random.chance(0.7);
    if (isByFault) this.#queue.push(advise(MADV_HUGEPAGE), touch(), touch());
    else this.#queue.push(touch(), touch(), advise(MADV_COLLAPSE));
    return mmap;
  }

  /** Some pages mapped at any place, advised, and touched here and there with holes made between. */
  #sizesBurst(pid: number): TraceEvent {
    const random = this.#random;
    const mmap = { ...this.#mmap(pid), prot: PROT_READ | PROT_WRITE };
    const pages = 8 + random.below(500);
    mmap.addr += random.below(64) * PAGE_BYTES;
    mmap.len = pages * PAGE_BYTES;
    const advise = (advice: number, from: number, count: number): TraceEvent => ({
      ...emptyEvent(),
      op: Op.madvise,
      pid,
      addr: mmap.addr + from * PAGE_BYTES,
      len: count * PAGE_BYTES,
      advice,
    });
    this.#queue.push(advise(MADV_HUGEPAGE, 0, pages));
    for (let i = 4 + random.below(8); i > 0; i--) {
      const page = random.below(pages);
      const addr = mmap.addr + page * PAGE_BYTES;
      if (random.chance(0.25)) {
        const count = Math.min(pages - page, 1 + random.below(40));
        this.#queue.push(advise(MADV_DONTNEED, page, count));
      } else {
        this.#queue.push({
          ...emptyEvent(),
          op: Op.touch,
          pid,
          addr,
          isWrite: random.chance(0.85),
        });
      }
    }
    return mmap;
  }

  #range(pid: number, op: Op): TraceEvent {
    return { ...emptyEvent(), op, pid, ...this.#places.range() };
  }

  #prot(): number {
    const roll = this.#random.below(20);
    if (roll < 3) return PROT_NONE;
    if (roll < 8) return PROT_READ;
    if (roll < 18 || !this.#has('exec')) return PROT_READ | PROT_WRITE;
    return roll === 18 ? PROT_READ | PROT_EXEC : PROT_READ | PROT_WRITE | PROT_EXEC;
  }

  #mmap(pid: number): TraceEvent {
    const random = this.#random;
    const event: TraceEvent = { ...this.#range(pid, Op.mmap), prot: this.#prot() };
    const isPlacedKindly = this.#has('noreplace') && random.chance(0.1);
    event.flags = isPlacedKindly ? MAP_FIXED_NOREPLACE : MAP_FIXED;
    if (!this.#has('reserve') || random.chance(0.5)) event.flags |= MAP_NORESERVE;
    if (this.#has('populate') && random.chance(0.08)) event.flags |= MAP_POPULATE;
    if (this.#has('mlock') && random.chance(0.04)) event.flags |= MAP_LOCKED;
    if (this.#has('hugeflags') && random.chance(0.05)) event.flags |= MAP_STACK;
    const kind = random.below(100);
    if (kind < 22 && this.#has('file')) {
      event.flags |= kind < 11 ? MAP_SHARED : MAP_PRIVATE;
      event.file = random.pick(FILE_NAMES);
      event.off = this.#fileOffset();
    } else if (kind < 34 && this.#has('shared')) {
      event.flags |= MAP_SHARED | MAP_ANONYMOUS;
    } else {
      event.flags |= MAP_PRIVATE | MAP_ANONYMOUS;
      if (kind > 93 && this.#has('growsdown')) event.flags |= MAP_GROWSDOWN;
    }
    if ((event.flags & (MAP_POPULATE | MAP_LOCKED)) !== 0) {
      event.len = Math.min(event.len, POPULATE_BYTES_MAX);
    }
    return event;
  }

  #fileOffset(): number {
    const random = this.#random;
    return random.chance(0.3) ? 0 : random.below(random.chance(0.5) ? 40 : 1100) * PAGE_BYTES;
  }

  #mremap(pid: number): TraceEvent {
    const random = this.#random;
    const event = { ...this.#range(pid, Op.mremap), flags: MREMAP_MAYMOVE | MREMAP_FIXED };
    event.newAddr = this.#places.addr();
    const roll = random.below(100);
    if (roll < 50) event.newLen = event.len;
    else if (roll < 75) event.newLen = this.#places.len(event.newAddr);
    else event.newLen = PAGE_BYTES * random.between(1, 12);
    if (this.#has('inplace') && random.chance(0.35)) {
      event.flags = random.chance(0.6) ? 0 : MREMAP_MAYMOVE;
      event.newAddr = 0;
    } else if (this.#has('dontunmap') && random.chance(0.2)) {
      event.flags |= MREMAP_DONTUNMAP;
      if (random.chance(0.95)) event.newLen = event.len;
    } else {
      this.#places.remember(event.newAddr, event.newLen, true);
    }
    return event;
  }

  #madvise(pid: number): TraceEvent {
    const event = { ...this.#range(pid, Op.madvise), advice: this.#random.pick(this.#advices) };
    if (event.advice === MADV_POPULATE_READ || event.advice === MADV_POPULATE_WRITE) {
      event.len = Math.min(event.len, POPULATE_BYTES_MAX);
    }
    return event;
  }

  #touch(pid: number): TraceEvent {
    const random = this.#random;
    const addr = random.chance(0.6) ? this.#places.mappedAddr() : this.#places.addr();
    const event: TraceEvent = { ...emptyEvent(), op: Op.touch, pid, addr };
    event.isWrite = random.chance(0.6);
    if (random.chance(0.2)) event.addr += random.below(PAGE_BYTES);
    return event;
  }

  #lock(pid: number): TraceEvent {
    if (this.#has('mlockall') && this.#random.chance(0.04)) return this.#lockAll(pid);
    const op = this.#random.chance(0.5) ? Op.mlock : Op.munlock;
    const event = this.#range(pid, op);
    event.len = Math.min(event.len, POPULATE_BYTES_MAX);
    if (op === Op.mlock && this.#random.chance(0.4)) event.flags = MLOCK_ONFAULT;
    return event;
  }

  /** Everything becomes present, which is slow in large layouts: taken back soon. */
  #lockAll(pid: number): TraceEvent {
    const random = this.#random;
    const unlock = { ...emptyEvent(), op: Op.munlockall, pid };
    if (random.chance(0.3)) return unlock;
    for (let i = random.below(6); i > 0; i--) this.#queue.push(this.#draw(pid));
    this.#queue.push(unlock);
    const isHuge = this.#layout === 'spread';
    const flags = random.below(16) & (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    return { ...emptyEvent(), op: Op.mlockall, pid, flags: isHuge ? flags | MCL_ONFAULT : flags };
  }

  /** Mostly for a few operations only: huge pages are what the others are about. */
  #thpDisable(pid: number): TraceEvent {
    const random = this.#random;
    const enable = { ...emptyEvent(), op: Op.prctl, pid };
    if (random.chance(0.4)) return enable;
    const mmap = this.#hugeBurst(pid);
    this.#queue.unshift(mmap);
    if (random.chance(0.8)) this.#queue.push(this.#madvise(pid), this.#touch(pid), enable);
    return { ...enable, flags: 1 + random.below(3) };
  }

  #forkOrExit(pid: number): TraceEvent {
    const isFull = this.#live.length >= this.#profile.processesMax;
    const isExit = this.#live.length > 1 && (isFull || this.#random.chance(0.35));
    if (isExit) {
      const index = this.#random.between(1, this.#live.length - 1);
      const [gone] = this.#live.splice(index, 1);
      return { ...emptyEvent(), op: Op.exit, pid: gone! };
    }
    const child = ++this.#lastPid;
    this.#live.push(child);
    // Half of the children write a page at once, as programs do.
    if (this.#random.chance(0.5)) this.#queue.push({ ...this.#touch(child), isWrite: true });
    return { ...emptyEvent(), op: Op.fork, pid, child };
  }

  #fileOperation(pid: number): TraceEvent {
    const file = this.#random.pick(FILE_NAMES);
    if (this.#random.chance(0.4)) return this.#truncate(pid, file);
    const off = this.#fileOffset();
    const len = PAGE_BYTES * this.#random.between(1, this.#random.chance(0.5) ? 20 : 600);
    return { ...emptyEvent(), op: Op.punch, pid, file, off, len };
  }

  #truncate(pid: number, file: string): TraceEvent {
    const pages = this.#random.chance(0.3) ? this.#random.below(64) : this.#random.below(1400);
    return { ...emptyEvent(), op: Op.truncate, pid, file, len: pages * PAGE_BYTES };
  }

  /** Makes an event one that the kernel may refuse: not on a page border, empty, overlapping. */
  #spoil(event: TraceEvent): TraceEvent {
    const random = this.#random;
    if (event.op === Op.touch || event.op === Op.fork || event.op === Op.exit) return event;
    switch (random.below(5)) {
      case 0:
        return { ...event, len: 0 };
      case 1:
        return { ...event, addr: event.addr + random.between(1, PAGE_BYTES - 1) };
      case 2:
        return { ...event, len: event.len + random.between(1, PAGE_BYTES - 1) };
      case 3:
        return { ...event, newAddr: event.addr + PAGE_BYTES * random.between(0, 3) };
      default:
        return { ...event, newLen: random.chance(0.5) ? 0 : event.newLen + 1 };
    }
  }
}
