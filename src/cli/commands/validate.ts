import { release } from 'node:os';
import type { Command } from 'commander';
import { CapabilityError, InputError } from '../../base/index.ts';
import {
  KernelSubject,
  khugepagedCollapses,
  setHugeSizes,
  whyNoHugePages,
  whyNoHugeSizes,
} from '../../host/index.ts';
import {
  EngineSubject,
  MTHP_SIZES,
  PROFILES,
  parseKernel,
  type ValidationResult,
  validate,
  validateTrace,
} from '../../lab/index.ts';
import { copyEvent, formatEvent, type TraceEvent } from '../../trace/index.ts';
import { openTraceFile } from '../files.ts';
import { Progress, print, printJson } from '../output.ts';
import { parseSeed } from './run.ts';

/** A start with huge pages takes 150 ms, until khugepaged sleeps. */
const SHRINK_RUNS_HUGE = 300;

interface ValidateFlags {
  seed?: string;
  ops: string;
  trace?: string;
  profile: 'basic' | 'full' | 'huge' | 'mthp';
  json?: boolean;
}

export function addValidate(program: Command): void {
  program
    .command('validate')
    .description('the same operations on the engine and on the running kernel, compared each step')
    .option('--seed <number>', 'seed of the operations; default: another one each time')
    .option('--ops <count>', 'operations', '10000')
    .option(
      '--profile <name>',
      'basic (private anonymous memory), full, huge (huge pages by madvise) or mthp (and smaller sizes)',
      'full',
    )
    .option('--trace <file>', 'the events of this trace instead')
    .option('--json', 'one JSON document on standard output')
    .action((_flags: unknown, command: Command) => {
      runValidate(command.optsWithGlobals<ValidateFlags>());
    });
}

function runValidate(flags: ValidateFlags): void {
  const seed = flags.seed === undefined ? randomSeed() : parseSeed(flags.seed);
  const ops = Number(flags.ops);
  if (!Number.isSafeInteger(ops) || ops < 1) {
    throw new InputError(`--ops ${flags.ops}: want a whole number of at least 1`);
  }
  if (!(flags.profile in PROFILES)) {
    throw new InputError(`--profile ${flags.profile}: want basic, full, huge or mthp`);
  }
  const events = flags.trace === undefined ? null : readEvents(flags.trace);
  const hasSizes = flags.profile === 'mthp';
  const isHugeProfile = flags.profile === 'huge' || hasSizes;
  const hasHugePages = events === null ? isHugeProfile : events.hasHugePages;
  if (hasHugePages) needHugePages();
  const restoreSizes = hasSizes ? needSizes() : null;
  const progress = new Progress('validate');
  const subjects = {
    kernel: () => new KernelSubject({ hasHugePages }),
    engine: () =>
      new EngineSubject(parseKernel('linux-6.18'), {
        ...(hasHugePages ? { enabled: 'madvise' } : {}),
        ...(hasSizes ? { sizes: MTHP_SIZES } : {}),
      }),
    onProgress: (done: number) => progress.update(done),
    ...(hasHugePages ? { wasDisturbed: khugepagedWatch(), shrinkRuns: SHRINK_RUNS_HUGE } : {}),
  };
  let result: ValidationResult;
  try {
    result =
      events === null
        ? validate({ seed, ops, profile: PROFILES[flags.profile], ...subjects })
        : validateTrace({ events: events.list, ...subjects });
  } finally {
    progress.stop();
    restoreSizes?.();
  }
  report(result, flags.trace === undefined ? seed : 0, ops, flags.json === true, hasHugePages);
  if (result.mismatches.length > 0) process.exitCode = 1;
}

function needHugePages(): void {
  const reason = whyNoHugePages();
  if (reason !== null) throw new CapabilityError(`validate with huge pages: ${reason}`);
}

/** Turns the sizes on for the machine; what is given back sets them as they were. */
function needSizes(): () => void {
  const reason = whyNoHugeSizes(MTHP_SIZES);
  if (reason !== null) throw new CapabilityError(`validate with sizes below 2 MiB: ${reason}`);
  return setHugeSizes(MTHP_SIZES);
}

/** True when khugepaged has filled slots by itself since the last look. */
function khugepagedWatch(): () => boolean {
  let seen = khugepagedCollapses();
  return () => {
    const before = seen;
    seen = khugepagedCollapses();
    return seen !== before;
  };
}

function readEvents(path: string): { list: TraceEvent[]; hasHugePages: boolean } {
  const reader = openTraceFile(path);
  const list: TraceEvent[] = [];
  for (let event = reader.next(); event !== null; event = reader.next()) {
    list.push(copyEvent(event));
  }
  return { list, hasHugePages: (reader.header.thp ?? 'disabled') !== 'disabled' };
}

function report(
  result: ValidationResult,
  seed: number,
  ops: number,
  isJson: boolean,
  hasHugePages: boolean,
): void {
  const mismatches = result.mismatches.map((mismatch) => ({
    ...mismatch,
    trace: mismatch.trace.map((event) => JSON.parse(formatEvent(event)) as unknown),
  }));
  if (isJson) {
    const { steps, unrepeated } = result;
    const passing = unrepeated.length === 0 ? {} : { unrepeated };
    printJson({ kernel: release(), seed, ops, steps, mismatches, ...passing });
    return;
  }
  const verdict = mismatches.length === 0 ? 'no mismatch in any field' : 'MISMATCH';
  print(
    `kernel ${release()}, seed ${seed}: ${result.events} operations, ${result.steps} comparisons: ${verdict}`,
  );
  for (const { step, op, field, kernel, engine } of result.unrepeated) {
    print(
      `not counted: at step ${step} (${op}) ${field} was ${kernel} on the kernel and ${engine} here, but not when the same operations ran again`,
    );
  }
  for (const mismatch of result.mismatches) {
    print(`step ${mismatch.step}, ${mismatch.op}: ${mismatch.field}`);
    print(`  kernel: ${JSON.stringify(mismatch.kernel)}`);
    print(`  engine: ${JSON.stringify(mismatch.engine)}`);
    print('shortest trace found that shows it:');
    print(
      JSON.stringify({
        pagelab: 1,
        source: 'validate',
        ...(hasHugePages ? { thp: 'madvise' } : {}),
      }),
    );
    for (const event of mismatch.trace) print(formatEvent(event));
  }
}

function randomSeed(): number {
  return (Date.now() ^ (process.pid << 12)) >>> 0;
}
