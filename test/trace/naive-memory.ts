import type { TraceEvent } from '../../src/trace/index.ts';
import { Op, Outcome } from '../../src/trace/index.ts';

/**
 * A second, deliberately simple model of what a trace does to address spaces: lists of mappings,
 * sets of touched slots, sets of pages. It knows the kernel's rules for when page tables come and go
 * (research: "A precise model"), and it shares no code with importers or engine, so it checks both.
 */

const PAGE = 4096;
const SLOT = 2 ** 21;
const STACK_LIMIT = 8 << 20;

interface Area {
  start: number;
  end: number;
  canWrite: boolean;
  isShared: boolean;
  growsDown: boolean;
  /** '' for anonymous memory. */
  file: string;
  isWritten: boolean;
}

const TABLE_BYTES = [2 ** 21, 2 ** 30, 2 ** 39] as const;

class Space {
  areas: Area[] = [];
  /** Page number → whether it is anonymous memory of its own (RssAnon). */
  pages = new Map<number, boolean>();
  tables = TABLE_BYTES.map(() => new Set<number>());
  breakAt = 0;

  clone(): Space {
    const child = new Space();
    child.areas = this.areas.map((area) => ({ ...area }));
    child.breakAt = this.breakAt;
    // fork copies the tables of what was written, and of pages without struct page ([vvar]).
    for (const area of this.areas) {
      if (!area.isWritten && !area.file.startsWith('[vvar')) continue;
      for (const [level, bytes] of TABLE_BYTES.entries()) {
        for (let t = Math.floor(area.start / bytes); t * bytes < area.end; t++) {
          if (this.tables[level]?.has(t)) child.tables[level]?.add(t);
        }
      }
    }
    for (const [page, isAnon] of this.pages) {
      if (this.find(page * PAGE)?.isWritten) child.pages.set(page, isAnon);
    }
    return child;
  }

  find(addr: number): Area | undefined {
    return this.areas.find((area) => area.start <= addr && addr < area.end);
  }

  /** The area for a touch, growing the stack if need be. */
  areaFor(addr: number): Area | undefined {
    const area = this.find(addr);
    if (area !== undefined) return area;
    const above = this.areas
      .filter((candidate) => candidate.start > addr)
      .sort((a, b) => a.start - b.start)[0];
    if (!above?.growsDown || above.end - addr > STACK_LIMIT) return undefined;
    above.start = Math.floor(addr / PAGE) * PAGE;
    return above;
  }

  touch(addr: number, isWrite: boolean): boolean {
    const area = this.areaFor(addr);
    if (area === undefined || (isWrite && !area.canWrite)) return false;
    if (isWrite) area.isWritten = true;
    for (const [level, bytes] of TABLE_BYTES.entries())
      this.tables[level]?.add(Math.floor(addr / bytes));
    const page = Math.floor(addr / PAGE);
    const isAnon = isWrite && !area.isShared;
    this.pages.set(page, isAnon || (this.pages.get(page) ?? false));
    return true;
  }

  /** Takes a range out of the list; gives the parts. */
  split(start: number, end: number): Area[] {
    const inside: Area[] = [];
    const outside: Area[] = [];
    for (const area of this.areas) {
      if (area.end <= start || area.start >= end) {
        outside.push(area);
        continue;
      }
      if (area.start < start) outside.push({ ...area, end: start });
      if (area.end > end) outside.push({ ...area, start: end });
      inside.push({ ...area, start: Math.max(area.start, start), end: Math.min(area.end, end) });
    }
    this.areas = outside;
    return inside;
  }

  /** free_pgtables: a table goes if no area is left in its span between the neighbours. */
  unmap(start: number, end: number): Area[] {
    const gone = this.split(start, end);
    if (gone.length === 0) return gone;
    this.dropPages(start, end);
    const before = Math.max(0, ...this.areas.filter((a) => a.end <= start).map((a) => a.end));
    const after = Math.min(
      2 ** 56,
      ...this.areas.filter((a) => a.start >= end).map((a) => a.start),
    );
    for (const [level, bytes] of TABLE_BYTES.entries()) {
      for (const area of gone) {
        for (let t = Math.floor(area.start / bytes); t * bytes < area.end; t++) {
          if (t * bytes >= before && (t + 1) * bytes <= after) this.tables[level]?.delete(t);
        }
      }
    }
    return gone;
  }

  /** PT_RECLAIM: a table whose whole slot one call covers within one area goes. */
  dontneed(start: number, end: number): void {
    for (const area of this.areas) {
      const [low, high] = [Math.max(start, area.start), Math.min(end, area.end)];
      if (low >= high) continue;
      this.dropPages(low, high);
      for (let t = Math.ceil(low / SLOT); (t + 1) * SLOT <= high; t++) this.tables[0]?.delete(t);
    }
  }

  dropPages(start: number, end: number): void {
    if ((end - start) / PAGE > this.pages.size) {
      for (const page of this.pages.keys()) {
        if (page * PAGE >= start && page * PAGE < end) this.pages.delete(page);
      }
    } else for (let page = start / PAGE; page < end / PAGE; page++) this.pages.delete(page);
  }
}

export interface NaiveCounters {
  vmPteKiB: number;
  rssAnonKiB: number;
  vmSizeKiB: number;
}

/** Follows a trace. Processes are those of the trace, by pid. */
export class NaiveMemory {
  readonly #spaces = new Map<number, Space>();

  /** False: a touch that no mapping known at this time allows. */
  apply(event: TraceEvent): boolean {
    const space = this.#space(event.pid);
    if (event.op === Op.touch) return space.touch(event.addr, event.isWrite);
    if (event.outcome !== Outcome.failed) this.#applyCall(space, event);
    return true;
  }

  counters(pid: number): NaiveCounters {
    const space = this.#space(pid);
    const bytes = space.areas.reduce((sum, area) => sum + area.end - area.start, 0);
    return {
      vmPteKiB: 4 * space.tables.reduce((sum, set) => sum + set.size, 0),
      rssAnonKiB: 4 * [...space.pages.values()].filter(Boolean).length,
      vmSizeKiB: bytes / 1024,
    };
  }

  #space(pid: number): Space {
    let space = this.#spaces.get(pid);
    if (space === undefined) this.#spaces.set(pid, (space = new Space()));
    return space;
  }

  #applyCall(space: Space, event: TraceEvent): void {
    const end = event.addr + Math.ceil(event.len / PAGE) * PAGE;
    if (event.op === Op.mmap) {
      space.unmap(event.addr, end);
      space.areas.push({
        start: event.addr,
        end,
        canWrite: (event.prot & 2) !== 0,
        isShared: (event.flags & 1) !== 0,
        growsDown: (event.flags & 0x100) !== 0,
        file: event.file,
        isWritten: false,
      });
    } else if (event.op === Op.munmap) space.unmap(event.addr, end);
    else if (event.op === Op.mprotect) {
      for (const part of space.split(event.addr, end)) {
        space.areas.push({ ...part, canWrite: (event.prot & 2) !== 0 });
      }
    } else if (event.op === Op.madvise && event.advice === 4) space.dontneed(event.addr, end);
    else if (event.op === Op.mremap) this.#mremap(space, event);
    else if (event.op === Op.brk) this.#brk(space, event);
    else if (event.op === Op.fork) {
      this.#spaces.set(event.child, event.flags === 1 ? space : space.clone());
    } else if (event.op === Op.exec) this.#spaces.set(event.pid, new Space());
    else if (event.op === Op.exit) this.#spaces.delete(event.pid);
  }

  #mremap(space: Space, event: TraceEvent): void {
    const old = [...space.pages].filter(
      ([page]) => page * PAGE >= event.addr && page * PAGE < event.addr + event.len,
    );
    const [area] = space.unmap(event.addr, event.addr + event.len);
    if (area === undefined) return;
    space.areas.push({ ...area, start: event.newAddr, end: event.newAddr + event.newLen });
    for (const [page, isAnon] of old) {
      space.touch(page * PAGE - event.addr + event.newAddr, isAnon);
    }
  }

  #brk(space: Space, event: TraceEvent): void {
    const start = Math.ceil(event.addr / PAGE) * PAGE;
    const end = Math.ceil((event.addr + event.len) / PAGE) * PAGE;
    const old = space.breakAt === 0 ? start : space.breakAt;
    if (end < old) space.unmap(end, old);
    else if (end > old) {
      const below = space.areas.find((area) => area.end === old && area.file === '');
      if (below !== undefined && old !== start) below.end = end;
      else {
        space.areas.push({
          start: old,
          end,
          canWrite: true,
          isShared: false,
          growsDown: false,
          file: '',
          isWritten: false,
        });
      }
    }
    space.breakAt = end;
  }
}
