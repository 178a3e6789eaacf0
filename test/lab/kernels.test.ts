import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  HUGE_PAGE_DEFAULTS,
  type HugePageSettings,
  Machine,
  type MachineOptions,
  type Mechanism,
  X86_64_5LEVEL,
} from '../../src/engine/index.ts';
import {
  allKernels,
  applySettings,
  attachMechanisms,
  BASES,
  COMPARATORS,
  KERNEL_SETTINGS,
  MACHINE_SETTINGS,
  MAIN_KERNELS,
  MECHANISMS,
  parseKernel,
  parseKernels,
  splitSettings,
} from '../../src/lab/index.ts';

const IDS = MECHANISMS.map(({ id }) => id);

test('a base alone has its rules and no mechanism', () => {
  for (const { rules } of BASES) {
    const kernel = parseKernel(rules.name);
    assert.equal(kernel.name, rules.name);
    assert.equal(kernel.rules, rules);
    assert.deepEqual(kernel.mechanisms, []);
  }
});

test('an alias stands for its base, also in the name', () => {
  assert.equal(parseKernel('linux').name, 'linux-6.18');
  assert.equal(parseKernel('linux+pte-ref').name, 'linux-6.18+pte-ref');
  for (const { rules, aliases } of BASES) {
    for (const alias of aliases) assert.equal(parseKernel(alias).rules, rules);
  }
});

test('names of bases, aliases and mechanisms are unique and can be written', () => {
  const names = [...BASES.flatMap(({ rules, aliases }) => [rules.name, ...aliases]), ...IDS];
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[a-z0-9.-]+$/);
});

test('a mechanism comes on top of any base', () => {
  for (const { rules } of BASES) {
    for (const mechanism of MECHANISMS) {
      const kernel = parseKernel(`${rules.name}+${mechanism.id}`);
      assert.equal(kernel.name, `${rules.name}+${mechanism.id}`);
      assert.equal(kernel.rules, rules);
      assert.deepEqual(kernel.mechanisms, [mechanism]);
    }
  }
});

const KNOWN_BASES = BASES.flatMap(({ rules, aliases }) => [rules.name, ...aliases]).join(', ');

test('what is wrong with a name is told in one line with what there is', () => {
  const wrong: readonly [text: string, message: string][] = [
    ['', `kernel '': no base ''; there are ${KNOWN_BASES}`],
    ['linux-5.0', `kernel 'linux-5.0': no base 'linux-5.0'; there are ${KNOWN_BASES}`],
    ['Linux', `kernel 'Linux': no base 'Linux'; there are ${KNOWN_BASES}`],
    [' linux', `kernel ' linux': no base ' linux'; there are ${KNOWN_BASES}`],
    ['+pte-ref', `kernel '+pte-ref': no base ''; there are ${KNOWN_BASES}`],
    ['pte-ref', `kernel 'pte-ref': no base 'pte-ref'; there are ${KNOWN_BASES}`],
    ['constructor', `kernel 'constructor': no base 'constructor'; there are ${KNOWN_BASES}`],
    ['linux+', `kernel 'linux+': no mechanism ''; there are ${IDS.join(', ')}`],
    ['linux+nope', `kernel 'linux+nope': no mechanism 'nope'; there are ${IDS.join(', ')}`],
    ['linux+linux', `kernel 'linux+linux': no mechanism 'linux'; there are ${IDS.join(', ')}`],
    ['linux+pte-ref+pte-ref', "kernel 'linux+pte-ref+pte-ref': pte-ref stands twice"],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => parseKernel(text), { name: 'InputError', message }, text);
  }
});

test('settings in brackets hold for one kernel, and go before those for all', () => {
  const [plain, tuned] = parseKernels(
    ['linux+ingens', 'linux[thp=always,thpDefrag=defer+madvise]+ingens[utilPercent=50]+pte-ref'],
    ['ingens.utilPercent=70', 'ingens.scanMs=9'],
  );
  assert.equal(plain?.name, 'linux-6.18+ingens');
  assert.deepEqual(plain?.tunings, []);
  assert.equal(plain?.mechanisms[0]?.settings?.['utilPercent'], 70);
  assert.equal(
    tuned?.name,
    'linux-6.18[thp=always,thpDefrag=defer+madvise]+ingens[utilPercent=50]+pte-ref',
  );
  assert.deepEqual(tuned?.tunings, ['thp=always', 'thpDefrag=defer+madvise']);
  assert.equal(tuned?.mechanisms[0]?.settings?.['utilPercent'], 50);
  assert.equal(tuned?.mechanisms[0]?.settings?.['scanMs'], 9);
  const hawkeye = parseKernel('linux+hawkeye[metric=0,mmu.7=30]').mechanisms[0];
  assert.equal(hawkeye?.settings?.['metric'], 0);
});

test('brackets that are wrong are told in one line', () => {
  const wrong: readonly [text: string, message: RegExp][] = [
    ['linux[', /want base\[key=value,…\]/],
    ['linux]', /want base/],
    ['linux[thp=always', /want base/],
    ['linux[thp=always]x', /want base/],
    ['linux[]', /a base takes thp, thpDefrag/],
    ['linux[thp]', /a base takes thp/],
    ['linux[memoryMiB=7]', /a base takes thp/],
    ['linux[toString=7]', /a base takes thp/],
    ['linux[thp=sometimes]', /^thp=sometimes: want disabled, never, madvise, always$/],
    ['linux+ingens[nope=1]', /ingens\.nope=1: ingens has the settings: utilPercent/],
    ['linux+ingens[utilPercent=x]', /want a whole number/],
    ['linux+pte-ref[a=1]', /pte-ref has the settings: none/],
    ['linux+hawkeye[mmu.x=1]', /hawkeye has the settings/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => parseKernel(text), { name: 'InputError', message }, text);
  }
});

test('comparators: each is a kernel', () => {
  const names = parseKernels(['comparators']).map(({ name }) => name);
  assert.deepEqual(names, COMPARATORS);
});

test('mechanisms that exclude each other are refused with the reason, in either order', () => {
  const excluding = MECHANISMS.flatMap((mechanism: Mechanism) =>
    Object.entries(mechanism.excludes).map(([id, reason]) => [mechanism.id, id, reason] as const),
  );
  for (const [id, other, reason] of excluding) {
    assert.ok(IDS.includes(other), `${id} excludes ${other}, which there is not`);
    for (const text of [`linux+${id}+${other}`, `linux+${other}+${id}`]) {
      assert.throws(
        () => parseKernel(text),
        (error: Error) => error.name === 'InputError' && error.message.endsWith(reason),
      );
    }
  }
});

test('all: every base, and each mechanism alone on every base, each once', () => {
  const expected = BASES.flatMap(({ rules }) => [
    rules.name,
    ...MECHANISMS.filter(({ variantOf }) => variantOf === undefined).map(
      ({ id }) => `${rules.name}+${id}`,
    ),
  ]);
  assert.deepEqual([...allKernels()].sort(), expected.sort());
  assert.deepEqual(
    parseKernels(['all'])
      .map(({ name }) => name)
      .sort(),
    expected,
  );
  for (const name of MAIN_KERNELS) assert.ok(expected.includes(name), name);
});

test('a kernel that is named twice, also by its alias or by all, runs once', () => {
  const names = (...texts: string[]) => parseKernels(texts).map(({ name }) => name);
  assert.deepEqual(names('linux', 'linux-6.1', 'linux-6.18'), ['linux-6.18', 'linux-6.1']);
  assert.deepEqual(names('linux', 'all').sort(), [...allKernels()].sort());
  assert.deepEqual(names(), []);
  assert.throws(() => names('linux', 'nope'), { name: 'InputError' });
});

test('attaching a kernel puts its mechanisms onto the machine, and nothing else', () => {
  const machine = () => Machine.create({ nodeBytes: [64 * 2 ** 20], bufferMiB: 64 });
  const plain = machine();
  attachMechanisms(plain, parseKernel('linux'));
  assert.equal(plain.events.tableEmptied, null);
  const refcounting = machine();
  attachMechanisms(refcounting, parseKernel('linux+pte-ref'));
  assert.equal(refcounting.events.tableEmptied?.(refcounting, 0, 0), true);
});

test('settings of a mechanism reach it, and those of nobody are refused', () => {
  const { own, others } = splitSettings(['memoryMiB=64', 'table-scan.delayMs=7', 'gib=1']);
  assert.deepEqual(own, ['table-scan.delayMs=7']);
  assert.deepEqual(others, ['memoryMiB=64', 'gib=1']);
  const [kernel] = parseKernels(['linux+table-scan'], own);
  assert.deepEqual(kernel?.mechanisms[0]?.settings, { delayMs: 7, sizeMiB: 256 });
  const wrong: readonly [settings: string, message: RegExp][] = [
    ['table-scan.delay=7', /table-scan has the settings: delayMs, sizeMiB/],
    ['table-scan.delayMs', /table-scan has the settings/],
    ['table-scan.delayMs=-1', /table-scan.delayMs=-1: want a whole number/],
    ['pte-ref.x=1', /no kernel of this run has pte-ref/],
  ];
  for (const [setting, message] of wrong) {
    assert.throws(() => parseKernels(['linux+table-scan'], [setting]), message, setting);
  }
  assert.throws(() => parseKernels(['linux+pte-ref'], ['pte-ref.x=1']), /settings: none/);
});

test('a setting of a single process is known by its name', () => {
  const [kernel] = parseKernels(['linux+ingens'], ['ingens.share.12=3', 'ingens.share=2']);
  assert.equal(kernel?.mechanisms[0]?.settings?.['share'], 2);
  for (const wrong of ['ingens.share.x=1', 'ingens.tau.1=1', 'ingens.share.=1']) {
    assert.throws(() => parseKernels(['linux+ingens'], [wrong]), /ingens has the settings/, wrong);
  }
});

test('every setting of a machine and a kernel reaches what it names', () => {
  const { khugepaged } = HUGE_PAGE_DEFAULTS;
  const huge = (change: Partial<HugePageSettings>): MachineOptions => ({ huge: change });
  const wanted: readonly (readonly [setting: string, options: MachineOptions])[] = [
    ['memoryMiB=64', { nodeBytes: [64 * 2 ** 20] }],
    ['swapMiB=2', { swapBytes: 2 * 2 ** 20 }],
    ['bufferMiB=128', { bufferMiB: 128 }],
    ['cpus=3', { cpus: 3 }],
    ['hugetlbPages=8', { hugetlbPages: 8 }],
    ['hugetlbPmdSharing=0', { hugetlbPmdSharing: false }],
    ['geometry=5-level', { geometry: X86_64_5LEVEL }],
    ['thp=never', huge({ enabled: 'never' })],
    ['thpDefrag=defer', huge({ defrag: 'defer' })],
    ['thpZeroPage=0', huge({ usesZeroPage: false })],
    ['thpShrinkUnderused=0', huge({ shrinkUnderused: false })],
    ['khugepagedPages=7', huge({ khugepaged: { ...khugepaged, pagesToScan: 7 } })],
    ['khugepagedSleepMs=7', huge({ khugepaged: { ...khugepaged, scanSleepMs: 7 } })],
    ['maxPtesNone=7', huge({ khugepaged: { ...khugepaged, maxPtesNone: 7 } })],
    ['compactionProactiveness=7', { compactionProactiveness: 7 }],
    ...(['16', '32', '64', '128', '256', '512', '1024'] as const).map(
      (size) => [`thp${size}kB=inherit`, huge({ sizes: { [`${size}kB`]: 'inherit' } })] as const,
    ),
    ['ksm=stop', { ksm: { isRunning: false } }],
    ['ksmPages=7', { ksm: { pagesToScan: 7 } }],
    ['ksmSleepMs=7', { ksm: { sleepMs: 7 } }],
    ['ksmMaxSharing=7', { ksm: { maxPageSharing: 7 } }],
    ['ksmZeroPages=1', { ksm: { usesZeroPages: true } }],
    ['ksmSmartScan=0', { ksm: { isSmartScan: false } }],
    ['ksmHuge=whole', { ksm: { hugePages: 'whole' } }],
    ['ksmPreserve=7', { ksm: { preservePercent: 7 } }],
  ];
  for (const [setting, options] of wanted) {
    assert.deepEqual(applySettings({}, [setting]).machine, options, setting);
  }
  const names = wanted.map(([setting]) => setting.slice(0, setting.indexOf('=')));
  const listed = [...Object.keys(MACHINE_SETTINGS), ...Object.keys(KERNEL_SETTINGS)];
  assert.deepEqual(names.sort(), listed.sort());
  assert.throws(() => applySettings({}, ['geometry=6-level']), /geometry=6-level: want 4-level/);
});
