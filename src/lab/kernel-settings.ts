import { HUGE_ENABLED, InputError } from '../base/index.ts';
import {
  HUGE_DEFRAG,
  HUGE_PAGE_DEFAULTS,
  HUGE_SIZE_ENABLED,
  HUGE_SIZES,
  type HugePageSettings,
  type HugeSize,
  type KhugepagedSettings,
  KSM_DEFAULTS,
  KSM_HUGE_MODES,
  type KsmSettings,
  type MachineOptions,
} from '../engine/index.ts';
import { oneOf, wholeNumber } from './setting-values.ts';

/**
 * What an administrator sets of a kernel, by the name of the setting: huge pages
 * (/sys/kernel/mm/transparent_hugepage), page sharing (/sys/kernel/mm/ksm), compaction ahead of need.
 * For all kernels of a run (`--set`) or for one (kernel-name.ts).
 */
export type KernelSettings = Pick<MachineOptions, 'huge' | 'ksm' | 'compactionProactiveness'>;

type Setter = (settings: KernelSettings, key: string, value: string) => KernelSettings;

interface Setting {
  readonly set: Setter;
  /** What it is and which values it takes, for people. */
  readonly what: string;
}

const THP = HUGE_PAGE_DEFAULTS;

const SETTINGS: Readonly<Record<string, Setting>> = {
  thp: {
    set: (of, key, value) => withHuge(of, { enabled: oneOf(key, value, HUGE_ENABLED) }),
    what: `huge pages of 2 MiB: ${HUGE_ENABLED.join(', ')}; default: as in the trace`,
  },
  thpDefrag: {
    set: (of, key, value) => withHuge(of, { defrag: oneOf(key, value, HUGE_DEFRAG) }),
    what: `how hard a fault tries: ${HUGE_DEFRAG.join(', ')} (${THP.defrag})`,
  },
  thpZeroPage: {
    set: (of, key, value) => withHuge(of, { usesZeroPage: isOn(key, value) }),
    what: 'a first read maps the huge zero page: 0, 1 (1)',
  },
  thpShrinkUnderused: {
    set: (of, key, value) => withHuge(of, { shrinkUnderused: isOn(key, value) }),
    what: 'huge pages mostly of zeros are split for memory: 0, 1 (1)',
  },
  khugepagedPages: {
    set: (of, key, value) => withKhugepaged(of, { pagesToScan: wholeNumber(key, value, 1) }),
    what: `pages that khugepaged looks at between two sleeps (${THP.khugepaged.pagesToScan})`,
  },
  khugepagedSleepMs: {
    set: (of, key, value) => withKhugepaged(of, { scanSleepMs: wholeNumber(key, value, 1) }),
    what: `its sleep (${THP.khugepaged.scanSleepMs})`,
  },
  maxPtesNone: {
    set: (of, key, value) => withKhugepaged(of, { maxPtesNone: wholeNumber(key, value, 0) }),
    what: `empty entries of 512 that it fills in at most (${THP.khugepaged.maxPtesNone})`,
  },
  compactionProactiveness: {
    set: (of, key, value) => ({ ...of, compactionProactiveness: percent(key, value) }),
    what: 'how eagerly kcompactd works ahead of need, 0 to 100 (20 with huge pages)',
  },
  ...Object.fromEntries(
    HUGE_SIZES.map((size) => [
      `thp${size}`,
      { set: setterOf(size), what: `pages of ${size}: ${HUGE_SIZE_ENABLED.join(', ')} (never)` },
    ]),
  ),
  ksm: {
    set: (of, key, value) =>
      withKsm(of, { isRunning: oneOf(key, value, ['run', 'stop']) === 'run' }),
    what: 'samepage merging: run, stop',
  },
  ksmPages: {
    set: (of, key, value) => withKsm(of, { pagesToScan: wholeNumber(key, value, 1) }),
    what: `pages that ksmd looks at between two sleeps (${KSM_DEFAULTS.pagesToScan})`,
  },
  ksmSleepMs: {
    set: (of, key, value) => withKsm(of, { sleepMs: wholeNumber(key, value, 1) }),
    what: `its sleep (${KSM_DEFAULTS.sleepMs})`,
  },
  ksmMaxSharing: {
    set: (of, key, value) => withKsm(of, { maxPageSharing: wholeNumber(key, value, 2) }),
    what: `mappings of one merged page at most (${KSM_DEFAULTS.maxPageSharing})`,
  },
  ksmZeroPages: {
    set: (of, key, value) => withKsm(of, { usesZeroPages: isOn(key, value) }),
    what: 'pages of zeros become the zero page: 0, 1 (0)',
  },
  ksmSmartScan: {
    set: (of, key, value) => withKsm(of, { isSmartScan: isOn(key, value) }),
    what: 'pages that stay unmerged are passed over: 0, 1 (1)',
  },
  ksmHuge: {
    set: (of, key, value) => withKsm(of, { hugePages: oneOf(key, value, KSM_HUGE_MODES) }),
    what: `what becomes of huge pages: ${KSM_HUGE_MODES.join(', ')} (${KSM_DEFAULTS.hugePages})`,
  },
  ksmPreserve: {
    set: (of, key, value) => withKsm(of, { preservePercent: wholeNumber(key, value, 0) }),
    what: `percent of a process in huge pages that ksmHuge=preserve keeps (${KSM_DEFAULTS.preservePercent})`,
  },
};

/** hugepages-NNkB/enabled. */
function setterOf(size: HugeSize): Setter {
  return (of, key, value) =>
    withHuge(of, { sizes: { ...of.huge?.sizes, [size]: oneOf(key, value, HUGE_SIZE_ENABLED) } });
}

/** The names of the settings, and what they are. */
export const KERNEL_SETTINGS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(SETTINGS).map(([key, { what }]) => [key, what]),
);

/** The settings with one changed; undefined if it is none of theirs. InputError for a bad value. */
export function withSetting(
  settings: KernelSettings,
  key: string,
  value: string,
): KernelSettings | undefined {
  return Object.hasOwn(SETTINGS, key) ? SETTINGS[key]?.set(settings, key, value) : undefined;
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
