import { COUNT_KINDS } from '../../src/engine/counts/kinds.ts';
import { expectCaught, expectClean, type Mutant } from './caught.ts';
import type { TestRun } from './patched-build.ts';

/** Bugs of share counts, each of which an earlier design or another port had or could have. */
const steps = (kind: string): TestRun => ({ file: 'counts/interleave.test', only: `${kind}$` });
const at = (name: string): string => `counts/${name}.ts`;

const ROW_LEAF: readonly Mutant[] = [
  {
    name: 'row-leaf: a release without a pin',
    run: steps('row-leaf'),
    patches: [
      {
        file: at('row-leaf'),
        from: `    const leaf = this.#tryPin(row, 1);
    if (leaf === 0) return 0;
    const count = this.laneDec(leaf + ((frame >>> this.wordShift) & 15), frame);
    this.#unpin(row, 1 - this.turned);`,
        to: `    const leaf = this.#pool + (this.words[row] & LEAF_MASK) * LEAF_WORDS;
    if (this.words[row] === 0) return 0;
    const count = this.laneDec(leaf + ((frame >>> this.wordShift) & 15), frame);
    if (this.turned !== 0) this.#unpin(row, 1);`,
      },
    ],
  },
  {
    name: 'row-leaf: a leaf is freed while somebody has it pinned',
    run: steps('row-leaf'),
    patches: [
      {
        file: at('row-leaf'),
        from: 'if (Atomics.compareExchange(w, row, leaf, 0) === leaf) this.#freeLeaf(leaf);',
        to: 'Atomics.store(w, row, 0);\n    this.#freeLeaf(leaf);',
      },
    ],
  },
  {
    name: 'lanes: a plain subtraction',
    run: steps('static'),
    patches: [
      {
        file: at('lane-counts'),
        from: `      const now = (old - (1 << shift)) | 0;
      const got = Atomics.compareExchange(w, at, old, now);`,
        to: `      const now = (old - (1 << shift)) | 0;
      Atomics.sub(w, at, 1 << shift);
      const got = old;`,
      },
    ],
  },
  {
    name: 'lanes: a count at the edge is added to without the lock',
    run: { file: 'counts/model.test', only: 'static: a count of thousands' },
    patches: [
      {
        file: at('lane-counts'),
        from: 'if (lane >= this.max - 1) {',
        to: 'if (lane >= this.max) {',
      },
    ],
  },
];

const HASHES: readonly Mutant[] = [
  {
    name: 'line-hash: a reader that does not look at the version again',
    run: steps('line-hash'),
    patches: [
      {
        file: at('line-hash'),
        from: 'if (Atomics.load(w, segment + S_LOCK) !== version) continue;',
        to: '',
      },
    ],
  },
  {
    name: 'rosebush: a bucket is used again under its readers',
    run: steps('rosebush-inline'),
    patches: [
      {
        file: at('rosebush-buckets'),
        from: 'this.defer(DEFER_BUCKET, bucket);',
        to: 'this.free(CLASS_64, bucket);',
      },
    ],
  },
  {
    name: "rosebush: a writer that does not look again whether the bucket is the hash's",
    run: steps('rosebush-inline'),
    patches: [
      {
        file: at('rosebush-buckets'),
        from: 'if (this.#bucketIn(Atomics.load(w, RB_TABLE), hash) !== bucket) {',
        to: 'if (w[RB_TABLE] === 0) {',
      },
    ],
  },
  {
    name: 'rhashtable: the first element of a chain moves first, and readers do not come back',
    run: steps('rhashtable'),
    patches: [
      {
        file: at('rhashtable-resize'),
        from: `    while ((w[entry + E_NEXT] & 1) === 0) {
      previous = entry;
      entry = w[entry + E_NEXT];
    }
    const end = w[entry + E_NEXT];`,
        to: `    const end = w[entry + E_NEXT];`,
      },
      {
        file: at('rhashtable-resize'),
        from: `    Atomics.store(w, bucket, 1);
    return 0;`,
        to: `    Atomics.store(w, bucket, (end & 1) !== 0 ? 1 : end | 1);
    return (end & 1) !== 0 ? 0 : end;`,
      },
      {
        file: at('rhashtable'),
        from: 'if (bucket === 0 || entry === nullsOf(bucket)) break;',
        to: 'if (bucket !== -1) break;',
      },
    ],
  },
  {
    name: 'rhashtable: an element is taken out of the old chain before it is in the new one',
    run: steps('rhashtable'),
    patches: [
      {
        file: at('rhashtable-resize'),
        from: `    this.lockBucket(to);
    Atomics.store(w, entry + E_NEXT, this.headOf(to));`,
        to: `    if (previous !== 0) Atomics.store(w, previous + E_NEXT, end);
    this.lockBucket(to);
    Atomics.store(w, entry + E_NEXT, this.headOf(to));`,
      },
    ],
  },
  {
    name: 'rhashtable: elements are used again under their readers',
    run: steps('rhashtable'),
    patches: [
      {
        file: at('rhashtable'),
        from: 'this.defer(DEFER_ELEMENT, entry);',
        to: 'this.free(CLASS_6, entry);',
      },
    ],
  },
  {
    name: 'rhashtable: an element that is on its way out is counted up',
    run: steps('rhashtable'),
    patches: [
      {
        file: at('rhashtable'),
        from: `      if (old < 2) {
        this.wait(at, old, spins);
        return 0;
      }`,
        to: '',
      },
    ],
  },
  {
    name: 'grace periods that do not wait',
    run: steps('rosebush'),
    patches: [
      {
        file: at('count-memory'),
        from: `    const head = this.self + W_DEFERRED + 2 * kind;
    w[at`,
        to: `    const head = this.self + W_DEFERRED + 2 * kind;
    if (kind !== DEFER_TABLE) {
      this.free(this.#deferredClass(kind, at), at);
      return;
    }
    w[at`,
      },
    ],
  },
];

expectCaught([...ROW_LEAF, ...HASHES]);
expectClean(COUNT_KINDS.map(({ name }) => steps(name)));
