import { InputError } from '../base/index.ts';
import {
  dynamicMetadata,
  hawkeye,
  ingens,
  ingensArtifact,
  LINUX_6_1,
  LINUX_6_18,
  type Machine,
  type Mechanism,
  morsels,
  movableIndexes,
  movableTables,
  mshare,
  onDemandFork,
  pteRef,
  pteRefLock,
  pteRefPercpu,
  type Rules,
  reservations,
  staticMetadata,
  tableReclaim,
  tableReclaimAged,
  tableScan,
} from '../engine/index.ts';
import { type NamePart, nameOf, splitName, tune } from './kernel-name.ts';
import { wholeNumber } from './setting-values.ts';
import { TIME_PREFIX } from './time/kernel-costs.ts';

/** A kernel: a base, whose rules are data, and mechanisms on top. */
export interface Kernel {
  /** As written by the user with aliases resolved: `linux-6.18+pte-ref`. */
  readonly name: string;
  readonly rules: Rules;
  readonly mechanisms: readonly Mechanism[];
  /** Settings, `key=value`, that go before those of trace and machine. */
  readonly tunings: readonly string[];
}

export interface BaseInfo {
  readonly rules: Rules;
  readonly aliases: readonly string[];
  readonly title: string;
}

export const BASES: readonly BaseInfo[] = [
  { rules: LINUX_6_1, aliases: [], title: 'Linux without PT_RECLAIM: empty tables stay' },
  {
    rules: LINUX_6_18,
    aliases: ['linux'],
    title: 'Linux with PT_RECLAIM: MADV_DONTNEED over a whole 2 MiB slot frees its table',
  },
];

export const MECHANISMS: readonly Mechanism[] = [
  pteRef,
  pteRefLock,
  pteRefPercpu,
  tableScan,
  movableTables,
  movableIndexes,
  mshare,
  morsels,
  tableReclaim,
  tableReclaimAged,
  ingens,
  reservations,
  hawkeye,
  ingensArtifact,
  dynamicMetadata,
  staticMetadata,
  onDemandFork,
];

/** What the main job compares. */
export const MAIN_KERNELS: readonly string[] = ['linux-6.1', 'linux-6.18', 'linux-6.18+pte-ref'];

/** The ways to get rid of empty tables, beside the kernel that has none: `ways`. */
export const WAYS: readonly string[] = [
  'linux-6.1',
  'linux-6.18',
  'linux-6.1+table-scan',
  'linux-6.1+pte-ref',
  'linux-6.1+table-reclaim',
  'linux-6.1+table-reclaim-aged',
];

/** Ways to manage huge pages: `comparators`. The third is what Linux's users set against bloat. */
export const COMPARATORS: readonly string[] = [
  'linux-6.1[thp=never]',
  'linux-6.1[thp=always]',
  'linux-6.1[thp=always,maxPtesNone=0]',
  'linux-6.1+ingens',
  'linux-6.1+hawkeye',
  'linux-6.1+reservations',
];

/**
 * A kernel by its name, `base[+mechanism…]`, settings in brackets (kernel-name.ts). Throws InputError
 * that names what there is.
 */
export function parseKernel(text: string): Kernel {
  const [first, ...rest] = splitName(text) as [NamePart, ...NamePart[]];
  const baseName = first.id;
  const base = BASES.find(
    ({ rules, aliases }) => rules.name === baseName || aliases.includes(baseName),
  );
  if (base === undefined) {
    const known = BASES.flatMap(({ rules, aliases }) => [rules.name, ...aliases]).join(', ');
    throw new InputError(`kernel '${text}': no base '${baseName}'; there are ${known}`);
  }
  const mechanisms = rest.map(({ id }) => mechanismById(text, id));
  for (const [at, mechanism] of mechanisms.entries()) {
    for (const other of mechanisms.slice(at + 1)) {
      if (other === mechanism) throw new InputError(`kernel '${text}': ${other.id} stands twice`);
      const reason = mechanism.excludes[other.id] ?? other.excludes[mechanism.id];
      if (reason !== undefined) {
        throw new InputError(`kernel '${text}': ${mechanism.id} excludes ${other.id}: ${reason}`);
      }
    }
  }
  tune(text, {}, first.settings);
  const names = [base.rules.name, ...rest.map(({ id }) => id)];
  return {
    name: names
      .map((name, i) => nameOf(name, (i === 0 ? first : rest[i - 1])?.settings ?? []))
      .join('+'),
    rules: base.rules,
    mechanisms: mechanisms.map((mechanism, i) =>
      configured(mechanism, rest[i]?.settings ?? [], `kernel '${text}'`),
    ),
    tunings: first.settings,
  };
}

function mechanismById(text: string, id: string): Mechanism {
  const mechanism = MECHANISMS.find((known) => known.id === id);
  if (mechanism !== undefined) return mechanism;
  const known = MECHANISMS.map((m) => m.id).join(', ');
  throw new InputError(`kernel '${text}': no mechanism '${id}'; there are ${known}`);
}

/** `all`: every base, and each mechanism (no variants) alone on every base. */
export function allKernels(): string[] {
  const bases = BASES.map(({ rules }) => rules.name);
  const own = MECHANISMS.filter(({ variantOf }) => variantOf === undefined);
  return [...bases, ...bases.flatMap((base) => own.map(({ id }) => `${base}+${id}`))];
}

/**
 * Kernels of a list of names, `all`, `ways` and `comparators` included, each once; what stands in a name's
 * brackets goes before `settings`. `settings` are those of
 * `splitSettings`; each must belong to a mechanism of one of the kernels.
 */
export function parseKernels(names: readonly string[], settings: readonly string[] = []): Kernel[] {
  const kernels = new Map<string, Kernel>();
  for (const name of names.flatMap(groupOf)) {
    const kernel = parseKernel(name);
    const own = splitName(name).slice(1);
    const mechanisms = kernel.mechanisms.map((mechanism, i) => {
      const common = configured(plain(mechanism.id), settingsOf(mechanism.id, settings), '--set');
      return configured(common, own[i]?.settings ?? [], `kernel '${name}'`);
    });
    kernels.set(kernel.name, { ...kernel, mechanisms });
  }
  for (const setting of settings) {
    const id = setting.slice(0, setting.indexOf('.'));
    const isUsed = [...kernels.values()].some((k) => k.mechanisms.some((m) => m.id === id));
    if (!isUsed) throw new InputError(`--set ${setting}: no kernel of this run has ${id}`);
  }
  return [...kernels.values()];
}

/** Settings of mechanisms (`table-scan.delayMs=1000`), of modelled time, and all others. */
export function splitSettings(settings: readonly string[]): {
  own: string[];
  time: Map<string, string>;
  others: string[];
} {
  const isOwn = (setting: string): boolean =>
    MECHANISMS.some(({ id }) => setting.startsWith(`${id}.`));
  const time = new Map<string, string>();
  const others: string[] = [];
  for (const setting of settings.filter((text) => !isOwn(text))) {
    const at = setting.indexOf('=');
    if (setting.startsWith(TIME_PREFIX) && at > 0) {
      time.set(setting.slice(TIME_PREFIX.length, at), setting.slice(at + 1));
    } else others.push(setting);
  }
  return { own: settings.filter(isOwn), time, others };
}

/** Of `id.key=value` settings those of one mechanism, without the id. */
function settingsOf(id: string, settings: readonly string[]): string[] {
  return settings.filter((one) => one.startsWith(`${id}.`)).map((one) => one.slice(id.length + 1));
}

function plain(id: string): Mechanism {
  return MECHANISMS.find((known) => known.id === id) as Mechanism;
}

/** A mechanism with settings of its own; `where` they stand. */
function configured(mechanism: Mechanism, settings: readonly string[], where: string): Mechanism {
  if (settings.length === 0) return mechanism;
  const values: Record<string, number> = { ...mechanism.settings };
  for (const setting of settings) {
    const at = setting.indexOf('=');
    const name = setting.slice(0, at);
    const isKnown = mechanism.settings?.[name] !== undefined || mechanism.takes?.(name) === true;
    if (at < 0 || !isKnown) {
      const known = Object.keys(mechanism.settings ?? {}).join(', ') || 'none';
      const text = `${mechanism.id}.${setting}`;
      throw new InputError(`${where} ${text}: ${mechanism.id} has the settings: ${known}`);
    }
    values[name] = wholeNumber(`${mechanism.id}.${name}`, setting.slice(at + 1), 0);
  }
  return mechanism.withSettings?.(values) ?? mechanism;
}

function groupOf(name: string): readonly string[] {
  if (name === 'all') return allKernels();
  if (name === 'comparators') return COMPARATORS;
  return name === 'ways' ? WAYS : [name];
}

/** Puts a kernel's mechanisms onto a machine. */
export function attachMechanisms(m: Machine, kernel: Kernel, seed = 1): void {
  for (const mechanism of kernel.mechanisms) mechanism.attach(m, seed);
}
