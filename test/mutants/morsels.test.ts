import { expectCaught, expectClean, type Mutant } from './caught.ts';

/** Bugs that copy-on-write of whole trees invites, put back one at a time. */
const LAW = { file: 'laws/morsels.test' };
const HAND = { file: 'mechanisms/morsels.test' };

const at = (name: string): string => `mechanisms/morsels/${name}.ts`;
const patch = (name: string, from: string, to: string): Mutant['patches'] => [
  { file: at(name), from, to },
];

const MUTANTS: readonly Mutant[] = [
  {
    name: 'a clone is not counted',
    run: LAW,
    patches: patch('clone', '  store.counts.inc(w[w[morsel + M_ROOT] + T_PFN]);\n', ''),
  },
  {
    name: 'a copy of an upper table leaves the right to write to the other side',
    run: LAW,
    patches: patch('copy', '    m.bytes[fromFlags + i] = UPPER_SHARED;\n', ''),
  },
  {
    name: "a copy of a table leaves its pages' right to write to the other side",
    run: LAW,
    patches: patch('copy', '    if (kept !== flags) changeEntry(m, table, i, kept, word);\n', ''),
  },
  {
    name: 'a copy of a full table leaves the right to write to the other side',
    run: HAND,
    patches: patch('copy', '  setRunFlags(m, table, flags);\n', ''),
  },
  {
    name: 'a copy of an upper table does not count its tables',
    run: LAW,
    patches: patch(
      'copy',
      '  w[copy + T_COUNT] = w[table + T_COUNT];\n  countUp(store, counted);\n',
      '  w[copy + T_COUNT] = w[table + T_COUNT];\n',
    ),
  },
  {
    name: 'a copy of a table does not count its pages',
    run: LAW,
    patches: patch(
      'copy',
      '    frames[counted++] = word;\n  }\n  countUp(store, counted);\n',
      '    frames[counted++] = word;\n  }\n',
    ),
  },
  {
    name: 'a root is written that another object has too',
    run: LAW,
    patches: patch(
      'copy',
      'if (!isBorrowed && store.counts.get(w[root + T_PFN]) === 1) return root;',
      'if (!isBorrowed) return root;',
    ),
  },
  {
    name: "tables of the base's are released with its child",
    run: LAW,
    patches: patch(
      'release',
      'if (child !== 0 && (m.bytes[flags + i] & BORROWED) === 0) all',
      'if (child !== 0) all',
    ),
  },
  {
    name: "pages of the base's are released with its child",
    run: LAW,
    patches: patch(
      'release',
      '(flags & KIND_MASK) !== ENTRY_PAGE || (flags & BORROWED) !== 0',
      '(flags & KIND_MASK) !== ENTRY_PAGE',
    ),
  },
  {
    name: 'windows stay where the table was',
    run: LAW,
    patches: patch(
      'relink',
      '  eachWindow(m, morsel, (vma) => linkWindow(m, store, morsel, vma));\n',
      '',
    ),
  },
  {
    name: 'a frozen base is written through the root that its child borrows',
    run: LAW,
    patches: patch('tree', 'if (isRootBorrowed(m, morsel) || store.', 'if (store.'),
  },
  {
    name: 'a write goes through a root that another object has too',
    run: LAW,
    patches: patch(
      'tree',
      ' || store.counts.get(w[table + T_PFN]) > 1) return false',
      ') return false',
    ),
  },
];

expectCaught(MUTANTS);
expectClean([LAW, HAND]);
