import { CapabilityError, Random } from '../../base/index.ts';
import { Op, Outcome, type TraceEvent } from '../../trace/index.ts';
import { type CompareOptions, type Comparison, compare, type Mismatch } from './compare.ts';
import { LAYOUT_NAMES, type LayoutName } from './layouts.ts';
import { OperationGenerator } from './operations.ts';
import type { Profile } from './profiles.ts';
import { shrink } from './shrink.ts';
import type { Answer, Subject, Window } from './subject.ts';

/** Makes fresh subjects: each attempt, and each step of shrinking, begins anew. */
export interface Subjects {
  readonly kernel: () => Subject;
  readonly engine: () => Subject;
  readonly onProgress?: (done: number) => void;
  /** Runs that the shrinking of a mismatch may take. */
  readonly shrinkRuns?: number;
  /** True if something else had a hand in what was just compared; that is then done again. */
  readonly wasDisturbed?: () => boolean;
}

export interface ValidateOptions extends Subjects {
  readonly seed: number;
  readonly ops: number;
  readonly profile: Profile;
}

export interface ValidationResult {
  readonly events: number;
  /** Answers and observations compared. */
  readonly steps: number;
  /** At most one: a comparison ends at its first difference. */
  readonly mismatches: readonly (Mismatch & { readonly trace: readonly TraceEvent[] })[];
}

/** Operations of one run of the generator: fresh processes then, and the next layout. */
const OPS_PER_ROUND = 4000;
/** The same where something else may have a hand in it: a round is over before khugepaged wakes up. */
const OPS_PER_SHORT_ROUND = 1000;

/** Random operations on both; ends at the first difference, which is shrunk. */
export function validate(options: ValidateOptions): ValidationResult {
  const random = new Random(options.seed);
  let events = 0;
  let steps = 0;
  for (let round = 0; events < options.ops; round++) {
    const layout = LAYOUT_NAMES[round % LAYOUT_NAMES.length] ?? 'dense';
    const roundOps = options.wasDisturbed === undefined ? OPS_PER_ROUND : OPS_PER_SHORT_ROUND;
    const ops = Math.min(roundOps, options.ops - events);
    const { result, drawn, windows } = undisturbedRound(
      options,
      layout,
      random.uint32(),
      ops,
      events,
    );
    events += result.events;
    steps += result.steps;
    if (result.mismatch !== null) {
      return { events, steps, mismatches: [shrunk(drawn, windows, options, result)] };
    }
  }
  return { events, steps, mismatches: [] };
}

interface Round {
  readonly result: Comparison;
  readonly drawn: readonly TraceEvent[];
  readonly windows: readonly Window[];
}

const ATTEMPTS = 20;

function undisturbedRound(
  options: ValidateOptions,
  layout: LayoutName,
  seed: number,
  ops: number,
  before: number,
): Round {
  let round = oneRound(options, layout, seed, ops, before);
  for (let i = 1; options.wasDisturbed?.() === true && round.result.mismatch !== null; i++) {
    if (i === ATTEMPTS) throw new CapabilityError(`validate: disturbed ${ATTEMPTS} times in a row`);
    round = oneRound(options, layout, seed, ops, before);
  }
  return round;
}

function oneRound(
  options: ValidateOptions,
  layout: LayoutName,
  seed: number,
  ops: number,
  before: number,
): Round {
  const generator = new OperationGenerator({
    layout,
    profile: options.profile,
    random: new Random(seed),
  });
  const drawn: TraceEvent[] = [];
  const source = function* (): Iterable<TraceEvent> {
    for (let i = 0; i < ops; i++) {
      const event = generator.next();
      drawn.push(event);
      if (i % 256 === 0) options.onProgress?.(before + i);
      yield event;
    }
  };
  const result = compareFresh(source(), generator.windows, options, {
    onAnswer: (event, answer) => generator.onAnswer(event, answer),
  });
  return { result, drawn, windows: generator.windows };
}

/** The events of a trace on both; windows are the 512 GB regions that its mappings touch. */
export function validateTrace(
  options: Subjects & { events: readonly TraceEvent[] },
): ValidationResult {
  const windows = windowsOf(options.events);
  const result = compareFresh(options.events, windows, options, {});
  const { events, steps } = result;
  if (result.mismatch === null) return { events, steps, mismatches: [] };
  return { events, steps, mismatches: [shrunk(options.events, windows, options, result)] };
}

function shrunk(
  events: readonly TraceEvent[],
  windows: readonly Window[],
  subjects: Subjects,
  found: Comparison,
): ValidationResult['mismatches'][number] {
  const field = found.mismatch?.field;
  const fails = (trial: readonly TraceEvent[]): boolean =>
    compareFresh(trial, windows, subjects, {}).mismatch?.field === field &&
    subjects.wasDisturbed?.() !== true;
  // What came after the difference does not matter.
  const trace = shrink(events.slice(0, found.events), fails, subjects.shrinkRuns);
  const answered: TraceEvent[] = [];
  const onAnswer = (event: TraceEvent, answer: Answer): number =>
    answered.push(withAnswer(event, answer));
  const again = compareFresh(trace, windows, subjects, { onAnswer }).mismatch ?? found.mismatch;
  return { ...(again as Mismatch), trace: answered };
}

/** The event with what the kernel said, so that the trace can be replayed and compared. */
function withAnswer(event: TraceEvent, { ok, errno, addr }: Answer): TraceEvent {
  const outcome = ok ? Outcome.ok : Outcome.failed;
  const isPlaced = event.op === Op.mmap && ok && addr !== undefined;
  return { ...event, outcome, errno, addr: isPlaced ? addr : event.addr };
}

function compareFresh(
  events: Iterable<TraceEvent>,
  windows: readonly Window[],
  subjects: Subjects,
  options: CompareOptions,
): Comparison {
  const kernel = subjects.kernel();
  try {
    return compare(events, kernel, subjects.engine(), windows, options);
  } finally {
    kernel.close();
  }
}

const REGION_BYTES = 2 ** 39;

function windowsOf(events: readonly TraceEvent[]): Window[] {
  const regions = new Set<number>();
  for (const event of events) {
    if (event.op !== Op.mmap && event.op !== Op.mremap) continue;
    const addr = event.op === Op.mmap ? event.addr : event.newAddr;
    if (addr > 0 && addr < 2 ** 47) regions.add(Math.floor(addr / REGION_BYTES));
  }
  const sorted = [...regions].sort((a, b) => a - b);
  return sorted.map((region) => ({
    startAddr: region * REGION_BYTES,
    endAddr: (region + 1) * REGION_BYTES,
  }));
}
