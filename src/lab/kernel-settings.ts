import { HUGE_ENABLED, InputError } from '../base/index.ts';
import {
  HUGE_DEFRAG,
  HUGE_PAGE_DEFAULTS,
  HUGE_SIZE_ENABLED,
  HUGE_SIZES,
  type HugePageSettings,
  type HugeSize,
  type KhugepagedSettings,
  KSM_HUGE_MODES,
  type KsmSettings,
  type MachineOptions,
} from '../engine/index.ts';
import { oneOf, wholeNumber } from './setting-values.ts';

/**
 * What an administrator sets of a kernel, by the name of the setting: huge pages
 * (/sys/kernel/mm/transparent_hugepage), page sharing (/sys/kernel/mm/ksm), compaction ahead of need. For all kernels of a run
 * (`--set`) or for one (kernel-name.ts).
 */
export type KernelSettings = Pick<MachineOptions, 'huge' | 'ksm' | 'compactionProactiveness'>;

type Setter = (settings: KernelSettings, key: string, value: string) => KernelSettings;

const SETTERS: Readonly<Record<string, Setter>> = {
  thp: (of, key, value) => withHuge(of, { enabled: oneOf(key, value, HUGE_ENABLED) }),
  thpDefrag: (of, key, value) => withHuge(of, { defrag: oneOf(key, value, HUGE_DEFRAG) }),
  thpZeroPage: (of, key, value) => withHuge(of, { usesZeroPage: isOn(key, value) }),
  thpShrinkUnderused: (of, key, value) => withHuge(of, { shrinkUnderused: isOn(key, value) }),
  khugepagedPages: (of, key, value) =>
    withKhugepaged(of, { pagesToScan: wholeNumber(key, value, 1) }),
  khugepagedSleepMs: (of, key, value) =>
    withKhugepaged(of, { scanSleepMs: wholeNumber(key, value, 1) }),
  maxPtesNone: (of, key, value) => withKhugepaged(of, { maxPtesNone: wholeNumber(key, value, 0) }),
  compactionProactiveness: (of, key, value) => ({
    ...of,
    compactionProactiveness: percent(key, value),
  }),
  ...Object.fromEntries(HUGE_SIZES.map((size) => [`thp${size}`, setterOf(size)])),
  ksm: (of, key, value) => withKsm(of, { isRunning: oneOf(key, value, ['run', 'stop']) === 'run' }),
  ksmPages: (of, key, value) => withKsm(of, { pagesToScan: wholeNumber(key, value, 1) }),
  ksmSleepMs: (of, key, value) => withKsm(of, { sleepMs: wholeNumber(key, value, 1) }),
  ksmMaxSharing: (of, key, value) => withKsm(of, { maxPageSharing: wholeNumber(key, value, 2) }),
  ksmZeroPages: (of, key, value) => withKsm(of, { usesZeroPages: isOn(key, value) }),
  ksmSmartScan: (of, key, value) => withKsm(of, { isSmartScan: isOn(key, value) }),
  ksmHuge: (of, key, value) => withKsm(of, { hugePages: oneOf(key, value, KSM_HUGE_MODES) }),
  ksmPreserve: (of, key, value) => withKsm(of, { preservePercent: wholeNumber(key, value, 0) }),
};

/** hugepages-NNkB/enabled. */
function setterOf(size: HugeSize): Setter {
  return (of, key, value) =>
    withHuge(of, { sizes: { ...of.huge?.sizes, [size]: oneOf(key, value, HUGE_SIZE_ENABLED) } });
}

export const KERNEL_SETTINGS: readonly string[] = Object.keys(SETTERS);

/** The settings with one changed; undefined if it is none of theirs. InputError for a bad value. */
export function withSetting(
  settings: KernelSettings,
  key: string,
  value: string,
): KernelSettings | undefined {
  return Object.hasOwn(SETTERS, key) ? SETTERS[key]?.(settings, key, value) : undefined;
}

function percent(key: string, value: string): number {
  const number = wholeNumber(key, value, 0);
  if (number > 100) throw new InputError(`${key}=${value}: want at most 100`);
  return number;
}

function isOn(key: string, value: string): boolean {
  return oneOf(key, value, ['0', '1']) === '1';
}

function withHuge(settings: KernelSettings, change: Partial<HugePageSettings>): KernelSettings {
  return { ...settings, huge: { ...settings.huge, ...change } };
}

function withKhugepaged(
  settings: KernelSettings,
  change: Partial<KhugepagedSettings>,
): KernelSettings {
  const before = settings.huge?.khugepaged;
  return withHuge(settings, {
    khugepaged: { ...HUGE_PAGE_DEFAULTS.khugepaged, ...before, ...change },
  });
}

function withKsm(settings: KernelSettings, change: Partial<KsmSettings>): KernelSettings {
  return { ...settings, ksm: { ...settings.ksm, ...change } };
}
