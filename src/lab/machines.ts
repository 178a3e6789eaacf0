import { InputError } from '../base/index.ts';
import {
  MAX_CPUS,
  type MachineOptions,
  TOY_GEOMETRY,
  X86_64_4LEVEL,
  X86_64_5LEVEL,
} from '../engine/index.ts';
import { withSetting } from './kernel-settings.ts';
import { oneOf, wholeNumber } from './setting-values.ts';

/** A modelled machine by name. */
export interface MachinePreset {
  readonly name: string;
  readonly title: string;
  readonly options: MachineOptions;
}

const GIB = 2 ** 30;

export const MACHINES: readonly MachinePreset[] = [
  {
    name: 'default',
    title: 'one node with 24 GiB, no swap, as for the bundled recordings',
    options: { nodeBytes: [24 * GIB] },
  },
  {
    name: 'small',
    title: 'one node with 1 GiB and 2 GiB of swap',
    options: { nodeBytes: [GIB], swapBytes: 2 * GIB },
  },
  {
    name: 'medium',
    title: 'one node with 4 GiB, no swap',
    options: { nodeBytes: [4 * GIB] },
  },
  {
    name: 'ingens',
    title: 'two nodes of 32 GiB each, no swap, as in the Ingens paper',
    options: { nodeBytes: [32 * GIB, 32 * GIB], bufferMiB: 2047 },
  },
  {
    name: 'database',
    title: 'one node with 512 GiB, no swap, as in the postings of mshare',
    options: { nodeBytes: [512 * GIB], bufferMiB: 2047 },
  },
  {
    name: 'server',
    title: 'two nodes of 512 GiB each, no swap',
    options: { nodeBytes: [512 * GIB, 512 * GIB], bufferMiB: 2047 },
  },
  {
    name: 'large',
    title: 'two nodes of 1 TiB each, no swap',
    options: { nodeBytes: [1024 * GIB, 1024 * GIB], bufferMiB: 2047 },
  },
];

/** A preset by name. Throws InputError that names what there is. */
export function parseMachine(name: string): MachinePreset {
  const found = MACHINES.find((machine) => machine.name === name);
  if (found !== undefined) return found;
  const known = MACHINES.map((machine) => machine.name).join(', ');
  throw new InputError(`machine '${name}' is unknown; there are ${known}`);
}

/** Settings `key=value` of a machine; the others are given back for the workload. */
export function applySettings(
  base: MachineOptions,
  settings: readonly string[],
): { machine: MachineOptions; rest: Map<string, string> } {
  const machine = { ...base };
  const rest = new Map<string, string>();
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at <= 0) throw new InputError(`--set ${setting}: want key=value`);
    const key = setting.slice(0, at);
    const value = setting.slice(at + 1);
    if (!applyOne(machine, key, value)) rest.set(key, value);
  }
  return { machine, rest };
}

interface Setting {
  set(machine: MachineOptions, key: string, value: string): void;
  /** What it is and which values it takes, for people. */
  readonly what: string;
}

const GEOMETRIES = { '4-level': X86_64_4LEVEL, '5-level': X86_64_5LEVEL, toy: TOY_GEOMETRY };

const SETTINGS: Readonly<Record<string, Setting>> = {
  memoryMiB: {
    set(machine, key, value) {
      machine.nodeBytes = [wholeNumber(key, value, 8) * 2 ** 20];
    },
    what: 'memory, on one node',
  },
  swapMiB: {
    set(machine, key, value) {
      machine.swapBytes = wholeNumber(key, value, 0) * 2 ** 20;
    },
    what: 'swap',
  },
  bufferMiB: {
    set(machine, key, value) {
      machine.bufferMiB = wholeNumber(key, value, 64);
    },
    what: "the engine's own buffer, 64 to 2047",
  },
  cpus: {
    set(machine, key, value) {
      machine.cpus = wholeNumber(key, value, 1);
      if (machine.cpus > MAX_CPUS) throw new InputError(`--set cpus: at most ${MAX_CPUS}`);
    },
    what: `processors, at most ${MAX_CPUS}`,
  },
  hugetlbPages: {
    set(machine, key, value) {
      machine.hugetlbPages = wholeNumber(key, value, 0);
    },
    what: 'pages of 2 MiB set aside for MAP_HUGETLB (vm.nr_hugepages)',
  },
  hugetlbPmdSharing: {
    set(machine, key, value) {
      machine.hugetlbPmdSharing = oneOf(key, value, ['0', '1']) === '1';
    },
    what: '0: mappings of huge pages do not share tables',
  },
  geometry: {
    set(machine, key, value) {
      const names = Object.keys(GEOMETRIES) as (keyof typeof GEOMETRIES)[];
      machine.geometry = GEOMETRIES[oneOf(key, value, names)];
    },
    what: `page tables: ${Object.keys(GEOMETRIES).join(', ')}`,
  },
};

/** The names of a machine's settings, and what they are. */
export const MACHINE_SETTINGS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(SETTINGS).map(([key, { what }]) => [key, what]),
);

function applyOne(machine: MachineOptions, key: string, value: string): boolean {
  if (Object.hasOwn(SETTINGS, key)) {
    SETTINGS[key]?.set(machine, key, value);
    return true;
  }
  const set = withSetting(machine, key, value);
  if (set !== undefined) Object.assign(machine, set);
  return set !== undefined;
}
