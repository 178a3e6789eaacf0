import { type AddressBatch, BATCH_ENTRIES, InputError, Random } from '../../base/index.ts';
import type { AddressSource } from '../../trace/index.ts';
import { wholeNumber } from '../setting-values.ts';
import type { WorkloadParameter } from '../workloads/workload.ts';
import { Zipf } from '../workloads/zipf.ts';

/** Streams of addresses by name, in place of a trace. */
export interface AddressGenerator {
  readonly name: string;
  readonly title: string;
  readonly parameters: Readonly<Record<string, WorkloadParameter>>;
  /** Gives the byte offset of each next access within the footprint. */
  offsets(values: Readonly<Record<string, number>>, random: Random): () => number;
}

/** Where the footprint begins: on a border of every page size, where mmap puts large areas. */
const BASE_ADDR = 0x7e0000000000;
const PAGE_BYTES = 4096;
const PAGES_IN_MIB = 256;
const MIB_BYTES = 2 ** 20;

const MIB = { value: 1024, least: 1, what: 'footprint in MiB' };
const ACCESSES = { value: 20_000_000, least: 1, what: 'accesses' };

export const ADDRESS_GENERATORS: readonly AddressGenerator[] = [
  {
    name: 'sequential',
    title: 'ascending addresses, again from the beginning at the end',
    parameters: {
      mib: MIB,
      accesses: ACCESSES,
      strideBytes: { value: 64, least: 1, what: 'bytes from access to access' },
    },
    offsets({ mib = 1, strideBytes = 64 }) {
      const bytes = mib * MIB_BYTES;
      let next = -strideBytes;
      return () => {
        next += strideBytes;
        if (next >= bytes) next %= bytes;
        return next;
      };
    },
  },
  {
    name: 'uniform',
    title: 'pages of 4 KiB drawn uniformly',
    parameters: { mib: MIB, accesses: ACCESSES },
    offsets({ mib = 1 }, random) {
      const pages = mib * PAGES_IN_MIB;
      return () => random.below(pages) * PAGE_BYTES;
    },
  },
  {
    name: 'chase',
    title: 'a pointer chase: all pages in one random cycle, again and again',
    parameters: { mib: MIB, accesses: ACCESSES },
    offsets({ mib = 1 }, random) {
      const next = randomCycle(mib * PAGES_IN_MIB, random);
      let page = 0;
      return () => {
        page = next[page] as number;
        return page * PAGE_BYTES;
      };
    },
  },
  {
    name: 'zipf',
    title: 'pages of 4 KiB drawn by a Zipf law, neighbours used unalike',
    parameters: {
      mib: MIB,
      accesses: ACCESSES,
      skewPercent: { value: 99, least: 0, what: 'exponent of the Zipf law, in hundredths' },
    },
    offsets({ mib = 1, skewPercent = 99 }, random) {
      const zipf = new Zipf(mib * PAGES_IN_MIB, skewPercent / 100, random);
      return () => zipf.next() * PAGE_BYTES;
    },
  },
];

export function findGenerator(name: string): AddressGenerator | undefined {
  return ADDRESS_GENERATORS.find((generator) => generator.name === name);
}

/** The largest footprint: 32 bits of pages would be more than `Random.below` takes. */
const MIB_MAX = 2 ** 23;

/**
 * A generator as a source. Settings are its parameters as text. Throws InputError for one that it
 * does not have, or a value that cannot be.
 */
export function openGenerator(
  generator: AddressGenerator,
  settings: ReadonlyMap<string, string>,
  seed: number,
): AddressSource {
  const values: Record<string, number> = {};
  for (const [key, { value }] of Object.entries(generator.parameters)) values[key] = value;
  for (const [key, text] of settings) {
    const parameter = generator.parameters[key];
    if (parameter === undefined) {
      const known = Object.keys(generator.parameters).join(', ');
      throw new InputError(
        `--set ${key}: ${generator.name} has no such parameter; it has ${known}`,
      );
    }
    values[key] = wholeNumber(key, text, parameter.least);
  }
  if ((values['mib'] as number) > MIB_MAX) throw new InputError(`mib: want at most ${MIB_MAX}`);
  return new GeneratedSource(generator.offsets(values, new Random(seed)), values['accesses']!);
}

class GeneratedSource implements AddressSource {
  readonly #next: () => number;
  #left: number;

  constructor(next: () => number, accesses: number) {
    this.#next = next;
    this.#left = accesses;
  }

  fill(batch: AddressBatch): boolean {
    const count = Math.min(this.#left, BATCH_ENTRIES);
    const scale = 1 / batch.granuleBytes;
    for (let i = 0; i < count; i++) {
      batch.addGranule(Math.floor((BASE_ADDR + this.#next()) * scale));
    }
    this.#left -= count;
    return count > 0;
  }
}

/** Next page of each page, all in one cycle (Sattolo 1986). */
function randomCycle(pages: number, random: Random): Int32Array {
  const next = Int32Array.from({ length: pages }, (_, i) => i);
  for (let i = pages - 1; i > 0; i--) {
    const j = random.below(i);
    const other = next[j] as number;
    next[j] = next[i] as number;
    next[i] = other;
  }
  return next;
}
