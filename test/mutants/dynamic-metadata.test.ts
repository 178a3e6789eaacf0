import { expectCaught, expectClean, type Mutant } from './caught.ts';

/** Bugs that keeping struct pages on demand could have, put back one at a time. */
const HAND = { file: 'engine/dynamic-metadata.test' };
const RANDOM = { file: 'engine/dynamic-metadata.test', only: 'random programs' };

const VMEMMAP = 'mechanisms/dynamic-metadata/vmemmap.ts';

const patch = (from: string, to: string): Mutant['patches'] => [{ file: VMEMMAP, from, to }];

const MUTANTS: readonly Mutant[] = [
  {
    name: 'of a large free block only the first page of vmemmap goes',
    run: HAND,
    patches: patch('order > UNIT_SHIFT ? 1 << (order - UNIT_SHIFT) : 1', '1'),
  },
  {
    name: 'a page of vmemmap goes while half of its frames are in use',
    run: RANDOM,
    patches: patch('if (freeOrder < UNIT_SHIFT) {', 'if (freeOrder < UNIT_SHIFT - 1) {'),
  },
  {
    name: 'a split brings no struct pages for the tails',
    run: HAND,
    patches: patch('!hasMapped(this.#m, chunk, i)', 'chunk >= 0'),
  },
  {
    name: 'a huge page keeps one too many',
    run: HAND,
    patches: patch('first + this.hugeUnits - 1', 'first + this.hugeUnits'),
  },
  {
    name: 'metadata among the frames keeps its neighbour there for ever',
    run: HAND,
    patches: patch('(this.#holding[first] as number) > 0', '(this.#holding[first] as number) > 64'),
  },
  {
    name: 'a refused allocation keeps what came for it',
    run: HAND,
    patches: patch('        this.#dropNew(first, unit, added);\n', ''),
  },
  {
    name: 'a fault takes its frame and tells nobody',
    run: HAND,
    patches: patch('    m.isCareful = true;\n', ''),
  },
  {
    name: 'what has gone is not given back',
    run: HAND,
    patches: patch('    this.#giveBack(this.units[unit] as number);\n', ''),
  },
  {
    name: 'what is owed is paid twice',
    run: HAND,
    patches: patch(
      '        frames[at] = frame;\n        this.overdrawn -= 1;',
      '        frames[at] = frame;',
    ),
  },
  {
    name: 'the refusal is not heeded',
    run: HAND,
    patches: patch('as === TAKEN_HUGE)) return false;', 'as === TAKEN_HUGE)) return true;'),
  },
];

expectCaught(MUTANTS);
expectClean([HAND]);
