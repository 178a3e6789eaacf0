import { InputError } from '../../base/index.ts';
import {
  COSTS,
  type CostName,
  type Costs,
  costsWith,
  ENTRIES_MAX,
  HARDWARE_PRESETS,
  type HardwarePreset,
  type PageRegion,
  PageSizes,
  type Sourced,
  type SourcedNumber,
  type TlbStructure,
  Translator,
  type WalkCacheShapes,
  Walker,
} from '../../engine/index.ts';
import { wholeNumber } from '../setting-values.ts';

/** What the user wants of the translation hardware, as text. */
export interface HardwareWishes {
  readonly preset?: string;
  /** `sets=S,ways=W` each. */
  readonly levels?: readonly string[];
  /** Page size of addresses outside all regions. */
  readonly pageBytes?: string;
  /** `FROM-TO=SIZE` each. */
  readonly pages?: readonly string[];
  /** Nested walks over host pages of this size. */
  readonly hostPageBytes?: string;
  /** Levels of page tables. */
  readonly tableLevels?: string;
  /** A preset's walk caches, or `none`. */
  readonly walkCaches?: string;
  readonly costs?: ReadonlyMap<string, string>;
  /** Pages of 4 KiB and 2 MiB, as it then is at a page's number; instead of pageBytes and pages. */
  readonly isHugeAt?: (page: number) => boolean;
}

/** Hardware ready to translate, and what it was made of. */
export interface Hardware {
  readonly translator: Translator;
  readonly preset: HardwarePreset | null;
  readonly granuleBytes: number;
  /** Page sizes of the program's tables, by size class. */
  readonly pageBytes: readonly number[];
  readonly tableLevels: number;
  readonly hostPageBytes: number | null;
  readonly walkCaches: Sourced & { readonly shapes: WalkCacheShapes };
  readonly costs: Costs;
  /** All constants with their sources; what the user set is an assumption of his. */
  readonly constants: readonly SourcedNumber[];
}

const DEFAULT_PRESET = 'skylake';
/** For chains given by --level. */
const DEFAULT_WALK_CACHES = 'champsim';
const LEVELS_MAX = 4;
const SIZES_MAX = 4;
const ADDRESS_END: number = 2 ** 57;

/** Builds the hardware. Throws InputError for wishes that cannot be. */
export function makeHardware(wishes: HardwareWishes): Hardware {
  if (wishes.preset !== undefined && wishes.levels !== undefined) {
    throw new InputError('--preset and --level exclude each other');
  }
  const preset = wishes.levels === undefined ? findPreset(wishes.preset ?? DEFAULT_PRESET) : null;
  const structures = preset?.structures ?? (wishes.levels ?? []).map(parseLevel);
  if (structures.length > LEVELS_MAX && preset === null) {
    throw new InputError(`--level: ${structures.length} levels; want at most ${LEVELS_MAX}`);
  }
  const hostPageBytes =
    wishes.hostPageBytes === undefined
      ? null
      : parseSize('--host-page-bytes', wishes.hostPageBytes);
  const { sizes, pageBytes } = makeSizes(wishes, hostPageBytes);
  const tableLevels = parseTableLevels(wishes.tableLevels, preset);
  const caches = findWalkCaches(wishes.walkCaches, preset);
  const { costs, constants } = makeCosts(wishes.costs ?? new Map(), preset);
  const walker = new Walker({
    levels: tableLevels,
    caches: caches.walkCaches.shapes,
    granuleBytes: sizes.bytes[0] as number,
    tlbBytes: sizes.bytes,
    pageBytes,
    nested:
      hostPageBytes === null
        ? null
        : { levels: tableLevels, caches: caches.hostCaches.shapes, pageBytes: hostPageBytes },
    lines: { l1: costs.l1dLines, l2: costs.l2Lines, l3: costs.l3Lines },
  });
  return {
    translator: new Translator(structures, sizes, walker),
    preset,
    granuleBytes: sizes.bytes[0] as number,
    pageBytes,
    tableLevels,
    hostPageBytes,
    walkCaches: caches.walkCaches,
    costs,
    constants,
  };
}

/** A preset by name. Throws InputError that names what there is. */
export function findPreset(name: string): HardwarePreset {
  const found = HARDWARE_PRESETS.find((preset) => preset.name === name);
  if (found !== undefined) return found;
  const known = HARDWARE_PRESETS.map((preset) => preset.name).join(', ');
  throw new InputError(`preset '${name}' is unknown; there are ${known}`);
}

function parseLevel(text: string, at: number): TlbStructure {
  const fields = new Map<string, number>();
  for (const part of text.split(',')) {
    const match = /^(sets|ways)=(\d+)$/.exec(part);
    if (match === null || fields.has(match[1] as string)) {
      throw new InputError(`--level ${text}: want sets=S,ways=W`);
    }
    fields.set(match[1] as string, Number(match[2]));
  }
  const sets = fields.get('sets') ?? 0;
  const ways = fields.get('ways') ?? 0;
  if (sets < 1 || ways < 1 || sets * ways > ENTRIES_MAX) {
    throw new InputError(
      `--level ${text}: want sets and ways of 1 to ${ENTRIES_MAX} entries in all`,
    );
  }
  return { name: `L${at + 1}`, level: at + 1, sets, ways, pageBytes: [], serves: 'all' };
}

/** `4096`, `4k`, `2m`, `1g`: a power of two of bytes. */
export function parseSize(option: string, text: string): number {
  const match = /^(\d+)([kmg]?)$/i.exec(text);
  const unit = { '': 1, k: 1024, m: 2 ** 20, g: 2 ** 30 }[match?.[2]?.toLowerCase() ?? ''] ?? 1;
  const bytes = Number(match?.[1] ?? 0) * unit;
  if (bytes < 1 || bytes > 2 ** 30 || !Number.isInteger(Math.log2(bytes))) {
    throw new InputError(
      `${option} ${text}: want a power of two of bytes, 1 to 1g (as 4096, 4k, 2m)`,
    );
  }
  return bytes;
}

interface Region {
  readonly first: number;
  readonly end: number;
  readonly bytes: number;
}

function makeSizes(
  wishes: HardwareWishes,
  hostPageBytes: number | null,
): { sizes: PageSizes; pageBytes: number[] } {
  const { isHugeAt } = wishes;
  if (isHugeAt !== undefined) return sizesAsMapped(isHugeAt, hostPageBytes);
  const other = parseSize('--page-bytes', wishes.pageBytes ?? '4096');
  const regions = (wishes.pages ?? []).map(parseRegion);
  const pageBytes = [...new Set([other, ...regions.map(({ bytes }) => bytes)])].sort(
    (a, b) => a - b,
  );
  if (pageBytes.length > SIZES_MAX) {
    throw new InputError(`--pages: ${pageBytes.length} page sizes; want at most ${SIZES_MAX}`);
  }
  // The TLB holds what both sides map in one piece.
  const tlbBytes = pageBytes.map((bytes) => Math.min(bytes, hostPageBytes ?? bytes));
  const granule = tlbBytes[0] as number;
  const pageRegions = regions.map(({ first, end, bytes }): PageRegion => {
    return { first: first / granule, end: end / granule, sizeClass: pageBytes.indexOf(bytes) };
  });
  const sizes = new PageSizes(tlbBytes, pageBytes.indexOf(other), pageRegions);
  return { sizes, pageBytes };
}

const SMALL_BYTES = 4096;
const HUGE_BYTES = 2 ** 21;

function sizesAsMapped(
  isHugeAt: (page: number) => boolean,
  hostPageBytes: number | null,
): { sizes: PageSizes; pageBytes: number[] } {
  const pageBytes = [SMALL_BYTES, HUGE_BYTES];
  const tlbBytes = pageBytes.map((bytes) => Math.min(bytes, hostPageBytes ?? bytes));
  const granulesInPage = SMALL_BYTES / (tlbBytes[0] as number);
  const classAt = (granule: number): number =>
    isHugeAt(Math.floor(granule / granulesInPage)) ? 1 : 0;
  return { sizes: new PageSizes(tlbBytes, 0, [], classAt), pageBytes };
}

function parseRegion(text: string, at: number, all: readonly string[]): Region {
  const match = /^(0x[0-9a-f]+)-(0x[0-9a-f]+)=(\w+)$/i.exec(text);
  if (match === null) throw new InputError(`--pages ${text}: want 0xFROM-0xTO=SIZE`);
  const first = Number(match[1]);
  const end = Number(match[2]);
  const bytes = parseSize('--pages', match[3] as string);
  if (first % bytes !== 0 || end % bytes !== 0 || first >= end || end > ADDRESS_END) {
    throw new InputError(
      `--pages ${text}: want an ascending range on borders of its pages, below 2^57`,
    );
  }
  for (const other of all.slice(0, at)) {
    const [from = 0, to = 0] = other.split('=')[0]!.split('-').map(Number);
    if (first < to && from < end) throw new InputError(`--pages ${text}: overlaps ${other}`);
  }
  return { first, end, bytes };
}

function parseTableLevels(text: string | undefined, preset: HardwarePreset | null): number {
  if (text === undefined) return preset?.levels ?? 4;
  if (text !== '4' && text !== '5') throw new InputError(`--table-levels ${text}: want 4 or 5`);
  return Number(text);
}

function findWalkCaches(
  name: string | undefined,
  preset: HardwarePreset | null,
): Pick<HardwarePreset, 'walkCaches' | 'hostCaches'> {
  if (name !== 'none') {
    return name === undefined && preset !== null ? preset : findPreset(name ?? DEFAULT_WALK_CACHES);
  }
  const none = { shapes: {}, ground: 'assumption', source: '--walk-caches none' } as const;
  return { walkCaches: none, hostCaches: none };
}

/** Names of settings that --set takes here; the others belong to a generator. */
export const COST_NAMES: readonly string[] = [...COSTS.map(({ name }) => name), 'tlbL2Cycles'];

function makeCosts(
  settings: ReadonlyMap<string, string>,
  preset: HardwarePreset | null,
): { costs: Costs; constants: SourcedNumber[] } {
  const l2Cycles = preset?.l2Cycles ?? findPreset(DEFAULT_PRESET).l2Cycles;
  const constants = [l2Cycles, ...COSTS].map((constant): SourcedNumber => {
    const text = settings.get(constant.name);
    if (text === undefined) return constant;
    const least = constant.unit === 'lines' ? 1 : 0;
    const value = wholeNumber(constant.name, text, least);
    return { ...constant, value, ground: 'assumption', source: 'set by --set' };
  });
  const set = Object.fromEntries(constants.map(({ name, value }) => [name, value]));
  const costs = costsWith(set as Partial<Record<CostName, number>>);
  const { l1dLines, l2Lines, l3Lines } = costs;
  if (l1dLines > l2Lines || l2Lines > l3Lines || l3Lines > 2 ** 24) {
    throw new InputError('l1dLines, l2Lines, l3Lines: want ascending, at most 16777216');
  }
  return { costs, constants };
}
