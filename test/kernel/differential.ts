import {
  ADVICE_WORDS,
  errnoName,
  MAP_FLAG_WORDS,
  MREMAP_FLAG_WORDS,
  Random,
} from '../../src/base/index.ts';
import { KernelSubject } from '../../src/host/index.ts';
import {
  type CompareOptions,
  type Comparison,
  compare,
  type LayoutName,
  type Mismatch,
  OperationGenerator,
  type Profile,
  type Subject,
  shrink,
  type Window,
} from '../../src/lab/validate/index.ts';
import { OP_NAMES, Op, protWord, type TraceEvent } from '../../src/trace/index.ts';
import { Model } from '../oracle/model.ts';

export interface Campaign {
  readonly seed: number;
  readonly ops: number;
  readonly layout: LayoutName;
  readonly profile: Profile;
}

export interface CampaignResult {
  readonly comparison: Comparison;
  /** The shortest failing trace found, with its own mismatch; empty when nothing differs. */
  readonly shrunk: readonly TraceEvent[];
  readonly shrunkMismatch: Mismatch | null;
}

/** Random operations on the kernel and on a subject (the model by default); a mismatch is shrunk. */
export function runCampaign(campaign: Campaign, makeSubject?: () => Subject): CampaignResult {
  const hasHugePages = campaign.profile.features.has('hugepages');
  const generator = new OperationGenerator({ ...campaign, random: new Random(campaign.seed) });
  const { windows } = generator;
  const setting: Setting = {
    windows,
    hasHugePages,
    makeSubject: makeSubject ?? (() => new Model({ hasHugePages })),
  };
  const events: TraceEvent[] = [];
  function* drawn(): Iterable<TraceEvent> {
    for (let i = 0; i < campaign.ops; i++) {
      const event = generator.next();
      events.push(event);
      yield event;
    }
  }
  const comparison = compareFresh(setting, drawn(), (event, answer) => {
    generator.onAnswer(event, answer);
  });
  if (comparison.mismatch === null) return { comparison, shrunk: [], shrunkMismatch: null };
  const { field } = comparison.mismatch;
  const fails = (trial: readonly TraceEvent[]): boolean =>
    compareFresh(setting, trial).mismatch?.field === field;
  // A start with huge pages takes 150 ms.
  const shrunk = shrink(events, fails, hasHugePages ? 200 : 2000);
  const again = compareFresh(setting, shrunk);
  return { comparison, shrunk, shrunkMismatch: again.mismatch };
}

interface Setting {
  readonly windows: readonly Window[];
  readonly hasHugePages: boolean;
  readonly makeSubject: () => Subject;
}

function compareFresh(
  setting: Setting,
  events: Iterable<TraceEvent>,
  onAnswer?: CompareOptions['onAnswer'],
): Comparison {
  const kernel = new KernelSubject({ hasHugePages: setting.hasHugePages });
  try {
    const options = onAnswer === undefined ? {} : { onAnswer };
    return compare(events, kernel, setting.makeSubject(), setting.windows, options);
  } finally {
    kernel.close();
  }
}

/** A mismatch and its trace as people read them. */
export function describeResult(result: CampaignResult): string {
  const { shrunkMismatch: mismatch } = result;
  if (mismatch === null) return 'no mismatch';
  return [
    `step ${mismatch.step} (${mismatch.op}, pid ${mismatch.pid}) ${mismatch.field}:`,
    `  kernel ${JSON.stringify(mismatch.kernel)}`,
    `  model  ${JSON.stringify(mismatch.engine)}`,
    ...result.shrunk.map((event) => `  ${eventText(event)}`),
  ].join('\n');
}

export function eventText(event: TraceEvent): string {
  const place = `${placeText(event.addr)} ${lengthText(event.len)}`;
  const who = `${event.pid}: ${OP_NAMES[event.op]}`;
  switch (event.op) {
    case Op.mmap: {
      const file = event.file === '' ? '' : ` ${event.file}+${event.off / 4096}`;
      return `${who} ${place} ${protWord(event.prot)} ${words(event.flags, MAP_FLAG_WORDS)}${file}`;
    }
    case Op.mprotect:
      return `${who} ${place} ${protWord(event.prot)}`;
    case Op.madvise:
      return `${who} ${place} ${wordOf(event.advice, ADVICE_WORDS)}`;
    case Op.mremap:
      return `${who} ${place} ${lengthText(event.newLen)} -> ${placeText(event.newAddr)} ${words(event.flags, MREMAP_FLAG_WORDS)}`;
    case Op.touch:
      return `${who} ${placeText(event.addr)} ${event.isWrite ? 'w' : 'r'} x${event.count}`;
    case Op.fork:
      return `${who} -> ${event.child}`;
    case Op.exit:
      return who;
    case Op.truncate:
      return `${who} ${event.file} ${lengthText(event.len)}`;
    case Op.punch:
      return `${who} ${event.file} ${lengthText(event.off)} ${lengthText(event.len)}`;
    default:
      return `${who} ${place} ${event.flags}`;
  }
}

/** `1000.3.17+5`: hex 512 GB region and GB, slot, page, bytes. */
function placeText(addr: number): string {
  const page = Math.floor(addr / 4096);
  const slot = Math.floor(page / 512);
  const gib = Math.floor(slot / 512);
  const rest = addr % 4096 === 0 ? '' : `+${addr % 4096}`;
  return `${gib - 16384}.${slot % 512}.${page % 512}${rest}`;
}

function lengthText(bytes: number): string {
  return bytes % 4096 === 0 ? String(bytes / 4096) : `${bytes}B`;
}

function words(bits: number, table: Readonly<Record<string, number>>): string {
  return Object.keys(table)
    .filter((word) => (bits & table[word]!) === table[word]!)
    .join();
}

function wordOf(value: number, table: Readonly<Record<string, number>>): string {
  return Object.keys(table).find((word) => table[word] === value) ?? errnoName(value);
}
