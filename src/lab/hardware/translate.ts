import { AddressBatch, Random } from '../../base/index.ts';
import { SERVED_BY, type SourcedNumber } from '../../engine/index.ts';
import type { AddressSource } from '../../trace/index.ts';
import type { Hardware } from './hardware.ts';

/** The document of `pagelab tlb --json`. Cycles are modelled: counts times the constants. */
export interface TlbDocument {
  readonly pagelab: 1;
  readonly trace: { readonly name: string; readonly format: string };
  readonly hardware: {
    readonly preset: string | null;
    readonly title: string;
    readonly pageBytes: readonly number[];
    readonly tableLevels: number;
    readonly hostPageBytes: number | null;
    readonly remarks: readonly string[];
  };
  /** Loads, stores and, where asked for, fetches. */
  readonly accesses: number;
  /** Further granules (the smallest pages) that accesses reached into. */
  readonly crossings: number;
  /** Null where the trace does not tell. */
  readonly instructions: number | null;
  /** Measured: time of the translation, without reading or making the trace. */
  readonly accessesPerSecond: number;
  readonly translateMs: number;
  readonly levels: readonly TlbLevel[];
  readonly walks: TlbWalks;
  readonly cycles: TlbCycles;
  /** Misses per 1,000 instructions; null where their number is not known. */
  readonly mpki: { readonly level1: number; readonly walks: number } | null;
  readonly constants: readonly SourcedNumber[];
}

export interface TlbCounts {
  readonly lookups: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** One structure. */
export interface TlbLevel extends TlbCounts {
  readonly name: string;
  readonly level: number;
  readonly sets: number;
  readonly ways: number;
  readonly pageSizes: readonly (TlbCounts & { readonly pageBytes: number })[];
}

export interface TlbWalks {
  readonly count: number;
  readonly loads: number;
  readonly loadsPerWalk: number;
  readonly cycles: number;
  readonly cyclesPerWalk: number;
  /** Loads by the cache that served them. */
  readonly servedBy: Readonly<Record<(typeof SERVED_BY)[number], number>>;
  readonly caches: readonly (Omit<TlbCounts, 'evictions'> & { readonly name: string })[];
  readonly pageSizes: readonly { pageBytes: number; walks: number; loads: number }[];
}

export interface TlbCycles {
  readonly accesses: number;
  readonly tlbL2Hits: number;
  readonly walks: number;
  readonly total: number;
  readonly walkShare: number;
}

export interface TranslateOptions {
  readonly name: string;
  readonly format: string;
  readonly nowMs: () => number;
  readonly onProgress?: (accesses: number) => void;
}

/** Batches of a rehearsal: V8's last compiler tier comes after some. */
const REHEARSAL_BATCHES = 60;

/**
 * Lets the compiler see the work before it is timed, on hardware that is thrown away: half of the
 * accesses go to few pages, half to many.
 */
export function rehearse({ translator, granuleBytes }: Hardware): void {
  const batch = new AddressBatch(granuleBytes, translator.merging);
  const random = new Random(1);
  for (let pass = 0; pass < REHEARSAL_BATCHES; pass++) {
    while (!batch.isFull(1)) {
      batch.addGranule(random.below(random.chance(0.5) ? 32 : 65536));
    }
    translator.run(batch);
    batch.clear();
  }
}

/** Sends a source through the hardware and tells what came out. */
export function translate(
  source: AddressSource,
  hardware: Hardware,
  { name, format, nowMs, onProgress }: TranslateOptions,
): TlbDocument {
  const { translator, preset } = hardware;
  const batch = new AddressBatch(hardware.granuleBytes, translator.merging);
  let translateMs = 0;
  while (source.fill(batch)) {
    const startMs = nowMs();
    translator.run(batch);
    translateMs += nowMs() - startMs;
    batch.clear();
    onProgress?.(batch.accesses);
  }
  const { accesses } = batch;
  const instructions = batch.instructions > 0 ? batch.instructions : null;
  const levels = levelsOf(hardware);
  const walks = walksOf(hardware);
  const cycles = cyclesOf(hardware, accesses, levels, walks);
  return {
    pagelab: 1,
    trace: { name, format },
    hardware: {
      preset: preset?.name ?? null,
      title: preset?.title ?? 'levels given by hand',
      pageBytes: hardware.pageBytes,
      tableLevels: hardware.tableLevels,
      hostPageBytes: hardware.hostPageBytes,
      remarks: preset?.remarks ?? [],
    },
    accesses,
    crossings: translator.crossings,
    instructions,
    accessesPerSecond: translateMs > 0 ? Math.round((accesses / translateMs) * 1000) : 0,
    translateMs,
    levels,
    walks,
    cycles,
    mpki: instructions === null ? null : mpkiOf(instructions, levels, walks),
    constants: hardware.constants,
  };
}

function levelsOf({ translator }: Hardware): TlbLevel[] {
  return translator.structures.map(({ name, level, sets, ways }, structure) => {
    const pageSizes = translator.sizes.bytes.map((pageBytes, sizeClass) => {
      const { hits, misses, evictions } = translator.counts(structure, sizeClass);
      return { pageBytes, lookups: hits + misses, hits, misses, evictions };
    });
    const used = pageSizes.filter(({ lookups }) => lookups > 0);
    const sum = (key: keyof TlbCounts): number => used.reduce((all, size) => all + size[key], 0);
    return {
      name,
      level,
      sets,
      ways,
      lookups: sum('lookups'),
      hits: sum('hits'),
      misses: sum('misses'),
      evictions: sum('evictions'),
      pageSizes: used,
    };
  });
}

function walksOf({ translator, pageBytes, costs }: Hardware): TlbWalks {
  const { walker } = translator;
  const total = (values: Float64Array): number => values.reduce((all, value) => all + value, 0);
  const count = total(walker.walks);
  const loads = total(walker.loads);
  const served = [...walker.served];
  const loadCycles = [costs.l1dCycles, costs.l2Cycles, costs.l3Cycles, costs.dramCycles];
  const cycles = served.reduce(
    (all, value, at) => all + value * (loadCycles[at] as number),
    count * costs.walkCacheCycles,
  );
  return {
    count,
    loads,
    loadsPerWalk: count === 0 ? 0 : loads / count,
    cycles,
    cyclesPerWalk: count === 0 ? 0 : cycles / count,
    servedBy: Object.fromEntries(
      SERVED_BY.map((cache, at) => [cache, served[at]]),
    ) as TlbWalks['servedBy'],
    caches: walker.cacheCounts(),
    pageSizes: pageBytes.map((bytes, at) => ({
      pageBytes: bytes,
      walks: walker.walks[at] as number,
      loads: walker.loads[at] as number,
    })),
  };
}

function cyclesOf(
  { costs, constants }: Hardware,
  accesses: number,
  levels: readonly TlbLevel[],
  walks: TlbWalks,
): TlbCycles {
  const l2Cycles = constants.find(({ name }) => name === 'tlbL2Cycles')?.value ?? 0;
  const below = levels.filter(({ level }) => level > 1);
  const parts = {
    accesses: accesses * costs.accessCycles,
    tlbL2Hits: below.reduce((all, { hits }) => all + hits, 0) * l2Cycles,
    walks: walks.cycles,
  };
  const total = parts.accesses + parts.tlbL2Hits + parts.walks;
  return { ...parts, total, walkShare: total === 0 ? 0 : parts.walks / total };
}

function mpkiOf(
  instructions: number,
  levels: readonly TlbLevel[],
  walks: TlbWalks,
): NonNullable<TlbDocument['mpki']> {
  const first = levels.filter(({ level }) => level === 1);
  const misses = first.reduce((all, level) => all + level.misses, 0);
  return { level1: (misses / instructions) * 1000, walks: (walks.count / instructions) * 1000 };
}
