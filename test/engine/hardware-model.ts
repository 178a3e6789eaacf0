/**
 * Translation hardware written for clarity, to compare the fast one with: a set is a list of page
 * names, the most recent first; every access is looked up on its own, level by level.
 */
export class NaiveLru {
  readonly sets: string[][];
  readonly ways: number;
  hits = 0;
  misses = 0;
  evictions = 0;

  constructor(sets: number, ways: number) {
    this.sets = Array.from({ length: sets }, () => []);
    this.ways = ways;
  }

  /** `index` chooses the set; the name tells tags apart. */
  access(name: string, index: bigint): boolean {
    const set = this.sets[Number(index % BigInt(this.sets.length))]!;
    const at = set.indexOf(name);
    if (at >= 0) {
      this.hits += 1;
      set.splice(at, 1);
      set.unshift(name);
      return true;
    }
    this.misses += 1;
    if (set.length === this.ways) {
      this.evictions += 1;
      set.pop();
    }
    set.unshift(name);
    return false;
  }

  drop(isGone: (name: string) => boolean): void {
    this.sets.forEach((set, at) => {
      this.sets[at] = set.filter((name) => !isGone(name));
    });
  }
}

export interface NaiveAccess {
  readonly address: bigint;
  readonly bytes: number;
  readonly isFetch: boolean;
}

export interface NaiveStructure {
  readonly level: number;
  readonly lru: NaiveLru;
  readonly pageBytes: readonly number[];
  readonly serves: 'all' | 'data' | 'fetch';
}

/** One core: an access is one lookup for each page that it touches. */
export class NaiveHardware {
  readonly structures: readonly NaiveStructure[];
  readonly pageBytesOf: (address: bigint) => number;
  readonly walks: { page: bigint; pageBytes: number }[] = [];

  constructor(structures: readonly NaiveStructure[], pageBytesOf: (address: bigint) => number) {
    this.structures = structures;
    this.pageBytesOf = pageBytesOf;
  }

  access({ address, bytes, isFetch }: NaiveAccess): void {
    const end = address + BigInt(bytes);
    for (let at = address; at < end; ) {
      const pageBytes = this.pageBytesOf(at);
      const page = at / BigInt(pageBytes);
      this.#translate(page, pageBytes, isFetch);
      at = (page + 1n) * BigInt(pageBytes);
    }
  }

  #translate(page: bigint, pageBytes: number, isFetch: boolean): void {
    const levels = Math.max(...this.structures.map(({ level }) => level));
    for (let level = 1; level <= levels; level++) {
      const found = this.structures.find(
        (structure) =>
          structure.level === level &&
          (structure.pageBytes.length === 0 || structure.pageBytes.includes(pageBytes)) &&
          (structure.serves === 'all' || (structure.serves === 'fetch') === isFetch),
      );
      if (found?.lru.access(`${page}:${pageBytes}`, page) === true) return;
    }
    this.walks.push({ page, pageBytes });
  }
}

/**
 * Loads of native walks by the rules of the SDM (4.10): the cache of the lowest level is probed
 * first; a hit skips the loads of its level and those above; what was probed in vain is filled.
 */
export function naiveLoads(
  walks: readonly { page: bigint; pageBytes: number }[],
  levels: number,
  caches: ReadonlyMap<number, NaiveLru>,
): number {
  let loads = 0;
  for (const { page, pageBytes } of walks) {
    const leaf = { 4096: 1, 2097152: 2, 1073741824: 3 }[pageBytes]!;
    const address = page * BigInt(pageBytes);
    let top = levels;
    for (let level = leaf + 1; level <= levels; level++) {
      const entry = address >> BigInt(12 + 9 * (level - 1));
      if (caches.get(level)?.access(String(entry), entry) === true) {
        top = level - 1;
        break;
      }
    }
    loads += top - leaf + 1;
  }
  return loads;
}
