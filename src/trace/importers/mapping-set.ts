/** A stretch of one address space as a recording knows it; addresses are bytes. */
export interface Mapping {
  start: number;
  end: number;
  prot: number;
  /** What the importer knows of the file behind it; null for anonymous memory. */
  source: unknown;
}

/**
 * Which stretches of an address space are mapped, kept sorted and apart. A much simpler thing than
 * the engine's VMAs: it only has to tell what a recorded call or fault falls into.
 */
export class MappingSet {
  readonly #list: Mapping[] = [];

  get list(): readonly Mapping[] {
    return this.#list;
  }

  clone(): MappingSet {
    const copy = new MappingSet();
    for (const mapping of this.#list) copy.#list.push({ ...mapping });
    return copy;
  }

  find(addr: number): Mapping | undefined {
    const at = this.#firstEndingAfter(addr);
    const mapping = this.#list[at];
    return mapping !== undefined && mapping.start <= addr ? mapping : undefined;
  }

  /** Those that share a byte with the range. */
  overlapping(start: number, end: number): Mapping[] {
    const found: Mapping[] = [];
    for (let at = this.#firstEndingAfter(start); at < this.#list.length; at++) {
      const mapping = this.#list[at] as Mapping;
      if (mapping.start >= end) break;
      found.push(mapping);
    }
    return found;
  }

  /** The parts of the range that nothing covers. */
  holes(start: number, end: number): { start: number; end: number }[] {
    const holes: { start: number; end: number }[] = [];
    let at = start;
    for (const mapping of this.overlapping(start, end)) {
      if (mapping.start > at) holes.push({ start: at, end: mapping.start });
      at = Math.max(at, mapping.end);
    }
    if (at < end) holes.push({ start: at, end });
    return holes;
  }

  /** Puts a mapping there, over whatever there was. */
  add(mapping: Mapping): void {
    if (mapping.end <= mapping.start) return;
    this.cut(mapping.start, mapping.end);
    this.#list.splice(this.#firstEndingAfter(mapping.start), 0, mapping);
  }

  /** Takes the range out; gives the parts that were there. */
  cut(start: number, end: number): Mapping[] {
    const hit = this.overlapping(start, end);
    if (hit.length === 0) return hit;
    const kept: Mapping[] = [];
    const removed: Mapping[] = [];
    for (const mapping of hit) {
      if (mapping.start < start) kept.push({ ...mapping, end: start });
      removed.push({
        ...mapping,
        start: Math.max(start, mapping.start),
        end: Math.min(end, mapping.end),
      });
      if (mapping.end > end) kept.push({ ...mapping, start: end });
    }
    this.#list.splice(this.#list.indexOf(hit[0] as Mapping), hit.length, ...kept);
    return removed;
  }

  protect(start: number, end: number, prot: number): void {
    for (const part of this.cut(start, end)) this.add({ ...part, prot });
  }

  /** Moves the parts of a range, as mremap does. */
  move(from: number, len: number, to: number, newLen: number): void {
    const parts = this.cut(from, from + len);
    this.cut(to, to + newLen);
    for (const part of parts) {
      const start = part.start - from + to;
      this.add({ ...part, start, end: Math.min(part.end - from + to, to + newLen) });
    }
    const last = parts.at(-1);
    if (newLen > len && last !== undefined)
      this.add({ ...last, start: to + len, end: to + newLen });
  }

  #firstEndingAfter(addr: number): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#list[middle] as Mapping).end <= addr) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
