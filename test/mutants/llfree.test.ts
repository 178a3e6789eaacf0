import { expectCaught, expectClean, type Mutant } from './caught.ts';

/** Bugs that ports of LLFree have had or could have, put back one at a time. */
const MODEL = { file: 'engine/llfree.test', only: 'one worker' };
const STEPS = { file: 'engine/llfree.test', only: 'cores that lose' };
const CRASH = { file: 'engine/llfree-crash.test' };

const at = (name: string): string => `frames/llfree/${name}.ts`;

const MUTANTS: readonly Mutant[] = [
  {
    name: 'the counter rises before the bits are cleared',
    run: STEPS,
    patches: [
      {
        file: at('lower'),
        from: `  if (!clearRun(a.words, fieldOf(a, child), bit, order, a.isShared)) return -Errno.EINVAL;
  giveToChild(a, child, 1 << order);`,
        to: `  giveToChild(a, child, 1 << order);
  if (!clearRun(a.words, fieldOf(a, child), bit, order, a.isShared)) return -Errno.EINVAL;`,
      },
    ],
  },
  {
    name: 'a search that finds no run keeps the counter',
    run: MODEL,
    patches: [
      {
        file: at('lower'),
        from: `      if (bit >= 0) return (child << HUGE_ORDER) + bit;
      giveToChild(a, child, 1 << order);`,
        to: `      if (bit >= 0) return (child << HUGE_ORDER) + bit;`,
      },
    ],
  },
  {
    name: 'a reserved tree without a run keeps the frames of the local counter',
    run: MODEL,
    patches: [
      {
        file: at('llfree'),
        from: '      putTree(this, tree, 1 << order);\n      return getSlow',
        to: '      return getSlow',
      },
    ],
  },
  {
    name: 'sync without a limit',
    run: MODEL,
    patches: [
      {
        file: at('llfree'),
        from: 'for (let i = 0; i < SYNC_TRIES; i++)',
        to: 'for (let i = 0; SYNC_TRIES > 0; i++)',
      },
    ],
  },
  {
    name: 'a double free is not seen',
    run: MODEL,
    patches: [{ file: at('bit-field'), from: 'if ((bits & run) !== run) return false;', to: '' }],
  },
  {
    name: 'a tree is reserved and its counter stays',
    run: MODEL,
    patches: [
      {
        file: at('trees'),
        from: 'TREE_RESERVED | treeWord(0, cls), a.isShared)',
        to: 'TREE_RESERVED | treeWord(word & TREE_FREE, cls), a.isShared)',
      },
    ],
  },
  {
    name: 'a huge frame is split and nobody waits for it',
    run: STEPS,
    patches: [
      {
        file: at('lower'),
        from: 'if (turnChild(a, child, CHILD_HUGE, CHILD_HUGE | CHILD_SPLITTING)) {',
        to: 'if (turnChild(a, child, CHILD_HUGE, 0)) {',
      },
    ],
  },
  {
    name: 'the word of a bit field is stored without a comparison',
    run: STEPS,
    patches: [
      {
        file: at('bit-field'),
        from: 'if (cas(w, field + word, bits, bits | (run << first), isShared)) return word * 32 + first;',
        to: `store(w, field + word, bits | (run << first), isShared);
      return word * 32 + first;`,
      },
    ],
  },
  {
    name: 'words taken before one that was lost are not given back',
    run: STEPS,
    patches: [
      {
        file: at('bit-field'),
        from: 'while (--i >= 0) store(w, at + i, 0, isShared);',
        to: '',
      },
    ],
  },
  {
    name: 'recovery believes the counters',
    run: CRASH,
    patches: [
      {
        file: at('lower'),
        from: 'const next = isHuge ? CHILD_HUGE : countClear(a.words, field);',
        to: 'const next = isHuge ? CHILD_HUGE : Math.min(entry, countClear(a.words, field));',
      },
    ],
  },
  {
    name: 'recovery leaves the bits of a huge frame that was being split',
    run: CRASH,
    patches: [
      {
        file: at('lower'),
        from: 'if (isHuge) fillField(a.words, field, 0, a.isShared);',
        to: '',
      },
    ],
  },
];

expectCaught(MUTANTS);
expectClean([MODEL, STEPS, CRASH]);
