import { HUGE_ENABLED, InputError } from '../base/index.ts';
import {
  HUGE_DEFRAG,
  HUGE_PAGE_DEFAULTS,
  type KhugepagedSettings,
  KSM_HUGE_MODES,
  type KsmSettings,
  MAX_CPUS,
  type MachineOptions,
  TOY_GEOMETRY,
  X86_64_4LEVEL,
  X86_64_5LEVEL,
} from '../engine/index.ts';

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
    title: 'one node with 24 GiB, no swap: the machine that made the bundled recordings',
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
    title: 'two nodes of 32 GiB each, no swap: the size of the machine in the Ingens paper',
    options: { nodeBytes: [32 * GIB, 32 * GIB], bufferMiB: 2047 },
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

function applyOne(machine: MachineOptions, key: string, value: string): boolean {
  switch (key) {
    case 'memoryMiB':
      machine.nodeBytes = [wholeNumber(key, value, 8) * 2 ** 20];
      return true;
    case 'swapMiB':
      machine.swapBytes = wholeNumber(key, value, 0) * 2 ** 20;
      return true;
    case 'bufferMiB':
      machine.bufferMiB = wholeNumber(key, value, 64);
      return true;
    case 'cpus':
      machine.cpus = wholeNumber(key, value, 1);
      if (machine.cpus > MAX_CPUS) throw new InputError(`--set cpus: at most ${MAX_CPUS}`);
      return true;
    case 'thp':
      machine.huge = { ...machine.huge, enabled: oneOf(key, value, HUGE_ENABLED) };
      return true;
    case 'thpDefrag':
      machine.huge = { ...machine.huge, defrag: oneOf(key, value, HUGE_DEFRAG) };
      return true;
    case 'thpZeroPage':
      machine.huge = { ...machine.huge, usesZeroPage: oneOf(key, value, ['0', '1']) === '1' };
      return true;
    case 'khugepagedPages':
      setKhugepaged(machine, { pagesToScan: wholeNumber(key, value, 1) });
      return true;
    case 'khugepagedSleepMs':
      setKhugepaged(machine, { scanSleepMs: wholeNumber(key, value, 1) });
      return true;
    case 'maxPtesNone':
      setKhugepaged(machine, { maxPtesNone: wholeNumber(key, value, 0) });
      return true;
    case 'ksm':
      setKsm(machine, { isRunning: oneOf(key, value, ['run', 'stop']) === 'run' });
      return true;
    case 'ksmPages':
      setKsm(machine, { pagesToScan: wholeNumber(key, value, 1) });
      return true;
    case 'ksmSleepMs':
      setKsm(machine, { sleepMs: wholeNumber(key, value, 1) });
      return true;
    case 'ksmMaxSharing':
      setKsm(machine, { maxPageSharing: wholeNumber(key, value, 2) });
      return true;
    case 'ksmZeroPages':
      setKsm(machine, { usesZeroPages: oneOf(key, value, ['0', '1']) === '1' });
      return true;
    case 'ksmSmartScan':
      setKsm(machine, { isSmartScan: oneOf(key, value, ['0', '1']) === '1' });
      return true;
    case 'ksmHuge':
      setKsm(machine, { hugePages: oneOf(key, value, KSM_HUGE_MODES) });
      return true;
    case 'ksmPreserve':
      setKsm(machine, { preservePercent: wholeNumber(key, value, 0) });
      return true;
    case 'geometry': {
      const geometries = { '4-level': X86_64_4LEVEL, '5-level': X86_64_5LEVEL, toy: TOY_GEOMETRY };
      const geometry = geometries[value as keyof typeof geometries];
      if (geometry === undefined) {
        throw new InputError(`--set geometry=${value}: want 4-level, 5-level or toy`);
      }
      machine.geometry = geometry;
      return true;
    }
    default:
      return false;
  }
}

function setKhugepaged(machine: MachineOptions, change: Partial<KhugepagedSettings>): void {
  const khugepaged = { ...HUGE_PAGE_DEFAULTS.khugepaged, ...machine.huge?.khugepaged, ...change };
  machine.huge = { ...machine.huge, khugepaged };
}

function setKsm(machine: MachineOptions, change: Partial<KsmSettings>): void {
  machine.ksm = { ...machine.ksm, ...change };
}

function oneOf<T extends string>(key: string, value: string, words: readonly T[]): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw new InputError(`--set ${key}=${value}: want ${words.join(', ')}`);
  return found;
}

/** A whole number of at least `least`, or an InputError that says so. */
export function wholeNumber(key: string, value: string, least: number): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < least || value.trim() === '') {
    throw new InputError(`${key}=${value}: want a whole number of at least ${least}`);
  }
  return number;
}
