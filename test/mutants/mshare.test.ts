import { expectCaught, expectClean, type Mutant } from './caught.ts';

/** Bugs that postings of mshare had or were told of, put back one at a time. */
const LAW = { file: 'laws/mshare.test', only: 'much memory' };
const HAND = { file: 'mechanisms/mshare.test' };

const at = (name: string): string => `mechanisms/mshare/${name}.ts`;

const MUTANTS: readonly Mutant[] = [
  {
    name: 'an unmap in the host frees a table that windows lead to (before the third posting)',
    run: LAW,
    patches: [
      {
        file: 'tables/free-range.ts',
        from: 'if (keeps || (level > 1 && linksTo(m, child) > 0)) {',
        to: 'if (keeps) {',
      },
    ],
  },
  {
    name: 'with five levels the table above a linked one is freed',
    run: { file: 'laws/mshare.test', only: 'five levels' },
    patches: [
      {
        file: 'tables/free-range.ts',
        from: 'if (keeps || (level > 1 && linksTo(m, child) > 0)) {',
        to: 'if (level > 1 && linksTo(m, child) > 0) {',
      },
    ],
  },
  {
    name: 'a link is not counted',
    run: LAW,
    patches: [
      {
        file: 'tables/link.ts',
        from: '  shareCountsOf(m).inc(m.words[table + T_PFN]);\n',
        to: '',
      },
    ],
  },
  {
    name: 'links go with the tables, not with the entries (second posting)',
    run: LAW,
    patches: [
      { file: 'tables/zap.ts', from: '    opsOfWindow(m, vma).detach(m, mm, vma);\n', to: '' },
      {
        file: 'tables/free-range.ts',
        from: '    const keeps =\n      level > 1 && freeBelow(',
        to: `    if (isLink(m, table, i)) {
      unlinkForeign(m, table, i);
      (m.windowOps[0] as unknown as { work: { links: number } }).work.links -= 1;
      continue;
    }
    const keeps =
      level > 1 && freeBelow(`,
      },
      {
        file: 'tables/free-range.ts',
        from: "import { linksTo } from './link.ts';",
        to: "import { isLink, linksTo, unlinkForeign } from './link.ts';",
      },
    ],
  },
  {
    name: 'the owner ends and its memory stays',
    run: LAW,
    patches: [
      {
        file: at('region'),
        from: 'if (bytes > 0) flushed(m, region, munmap(m, regionHost(m, region), hostAddr(m, 0), bytes));',
        to: 'flushed(m, region, bytes);',
      },
    ],
  },
  {
    name: 'what has no owner is mapped into',
    run: LAW,
    patches: [
      {
        file: at('region'),
        from: 'if (!hasOwner(m, region) || !isInside(m, region, regionOffset, size))',
        to: 'if (!isInside(m, region, regionOffset, size))',
      },
    ],
  },
  {
    name: 'a part of a window can be unmapped',
    run: LAW,
    patches: [
      {
        file: 'space/munmap.ts',
        from: '  if (refusesCut(m, first, start)) return -Errno.EINVAL;\n',
        to: '',
      },
      {
        file: 'space/munmap.ts',
        from: '  if (refusesCut(m, last, end)) return -Errno.EINVAL;\n',
        to: '',
      },
    ],
  },
  {
    name: 'MADV_DONTNEED of a window takes entries of the shared tables (third posting)',
    run: LAW,
    patches: [
      {
        file: 'space/madvise.ts',
        from: '(flags & VM.VM_WINDOW) !== 0 && !changesAreas(advice)',
        to: '(flags & VM.VM_WINDOW) !== 0 && !changesAreas(advice) && advice !== MADV_DONTNEED',
      },
      {
        file: 'tables/zap.ts',
        from: 'if ((m.words[vma + V_FLAGS] & VM_WINDOW) !== 0) {',
        to: 'if ((m.words[vma + V_FLAGS] & VM_WINDOW) !== 0 && (how & ZAP_KEEP_GUARDS) === 0) {',
      },
    ],
  },
  {
    name: "the host's page without the window's offset",
    run: LAW,
    patches: [
      {
        file: at('window-ops'),
        from: '- vmaStart(m, vma) + vmaPgoff(m, vma) +',
        to: '- vmaStart(m, vma) +',
      },
    ],
  },
  {
    name: "the host's page by the window's own address",
    run: LAW,
    patches: [
      {
        file: at('window-ops'),
        from: 'return page - vmaStart(m, vma) + vmaPgoff(m, vma) + hostBasePages(m);',
        to: 'return page;',
      },
    ],
  },
  {
    name: "rights are the window's, not the host's: what may be read may be written",
    run: HAND,
    patches: [
      {
        file: at('window-ops'),
        from: 'const result = handleFault(m, host, hostHi, page - hostHi * m.loPages, isWrite);',
        to: 'const result = handleFault(m, host, hostHi, page - hostHi * m.loPages, false);',
      },
    ],
  },
  {
    name: 'what takes the place of a mapping in a region is told to nobody',
    run: HAND,
    patches: [
      {
        file: at('region'),
        from: 'return isReplaced ? flushed(m, region, 0) : 0;',
        to: 'return 0;',
      },
    ],
  },
];

expectCaught(MUTANTS);
expectClean([LAW, HAND]);
