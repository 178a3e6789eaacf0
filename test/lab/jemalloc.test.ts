import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  Allocator,
  type AllocatorRules,
  JEMALLOC_4_0,
  JEMALLOC_5_3,
} from '../../src/lab/allocator/index.ts';

/**
 * The model against jemalloc itself: every address of random allocations, every mapping, and every
 * piece that was given back (fixtures/jemalloc, made by the program there).
 */
const DIR = 'test/lab/fixtures/jemalloc';
const TOP = 0x7f0000000000;
const SMALL_MAX = 14 * 1024;
/** libstdc++, with which 5.3.0 is linked, allocates this at its start. */
const LIBSTDCXX_BYTES = 72_704;

interface Header {
  jemalloc: '4.0.3' | '5.3.0';
  lgDirtyMult?: number;
  dirtyDecayMs?: number;
  ops: number;
  maxLog: number;
  seed: number;
  freePercents: [number, number];
  mappedPages: number[];
}

function rulesOf({ jemalloc, lgDirtyMult = 3, dirtyDecayMs = 0 }: Header): AllocatorRules {
  if (jemalloc === '4.0.3') return { ...JEMALLOC_4_0, purge: { kind: 'ratio', lgDirtyMult } };
  return {
    ...JEMALLOC_5_3,
    quantumBytes: 16,
    purge: { kind: 'decay', dirtyMs: dirtyDecayMs, muzzyMs: 0 },
  };
}

/** The arena's mappings in their order, and what was given back in them, in pages. */
class Mappings {
  readonly pages: number[] = [];
  readonly purges: string[] = [];
  readonly #addrs: number[] = [];
  readonly #firsts: number[] = [];
  #sum = 0;

  map(addr: number, spanBytes: number): void {
    // The model's own records lie far below.
    if (addr < TOP - 2 ** 40) return;
    this.#addrs.push(addr);
    this.#firsts.push(this.#sum);
    this.pages.push(spanBytes / 4096);
    this.#sum += spanBytes / 4096;
  }

  purge(addr: number, spanBytes: number): void {
    this.purges.push(`${this.pageOf(addr)}:${spanBytes / 4096}`);
  }

  purgeLazily(): void {
    assert.fail('no muzzy decay here');
  }

  write(): void {}

  pageOf(addr: number): number {
    const at = this.#addrs.findIndex((start) => addr >= start);
    return (this.#firsts[at] as number) + (addr - (this.#addrs[at] as number)) / 4096;
  }
}

/** The program's run: the address of each object as the fixtures have it. */
function run(header: Header, heap: Allocator, mappings: Mappings): string[] {
  const { ops, maxLog, freePercents } = header;
  let state = header.seed >>> 0;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 8;
  };
  if (header.jemalloc === '5.3.0') heap.malloc(LIBSTDCXX_BYTES);
  const live: number[] = [];
  const seen: string[] = [];
  for (let i = 0; i < ops; i++) {
    const percent = draw() % 100;
    const limit = freePercents[Math.floor(i / Math.floor(ops / 4)) % 2] as number;
    if (live.length > 0 && percent < limit) {
      const at = draw() % live.length;
      heap.free(live[at] as number);
      live[at] = live[live.length - 1] as number;
      live.pop();
      continue;
    }
    const log = 3 + (draw() % (maxLog - 2));
    const bytes = 1 + (draw() % 2 ** log);
    const addr = heap.malloc(bytes);
    live.push(addr);
    const page = mappings.pageOf(addr);
    seen.push(Math.floor((bytes > SMALL_MAX ? Math.floor(page) : page) * 512).toString(36));
  }
  return seen;
}

for (const file of readdirSync(DIR).filter((name) => name.endsWith('.txt'))) {
  test(`every address, mapping and purge is that of jemalloc ${file}`, () => {
    const [head = '', ...rest] = readFileSync(join(DIR, file), 'utf8').split('\n');
    const header = JSON.parse(head) as Header;
    const [addresses = '', purges = ''] = rest.join('\n').split('\n\n');
    const mappings = new Mappings();
    const heap = new Allocator(rulesOf(header), mappings, TOP);
    assert.deepEqual(run(header, heap, mappings), words(addresses));
    assert.deepEqual(mappings.purges, words(purges));
    assert.deepEqual(mappings.pages, header.mappedPages);
    heap.validate();
  });
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}
