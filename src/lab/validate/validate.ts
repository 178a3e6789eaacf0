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
  /**
   * Differences that were not there when the same operations ran again: the kernel's answer depended on
   * something else. (A huge page of which anybody holds a reference for a moment is split where it
   * would be taken over; do_huge_pmd_wp_page.) Only looked for where huge pages are compared.
   */
  readonly unrepeated: readonly Mismatch[];
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
  const unrepeated: Mismatch[] = [];
  for (let round = 0; events < options.ops; round++) {
    const layout = LAYOUT_NAMES[round % LAYOUT_NAMES.length] ?? 'dense';
    const roundOps = options.wasDisturbed === undefined ? OPS_PER_ROUND : OPS_PER_SHORT_ROUND;
    const ops = Math.min(roundOps, options.ops - events);
    const shape: RoundShape = { layout, seed: random.uint32(), ops, before: events };
    const { result, drawn, windows } = repeatedRound(options, shape, unrepeated);
    events += result.events;
    steps += result.steps;
    if (result.mismatch !== null) {
      const mismatches = [shrunk(drawn, windows, options, result)];
      return { events, steps, mismatches, unrepeated };
    }
  }
  return { events, steps, mismatches: [], unrepeated };
}

interface Round {
  readonly result: Comparison;
  readonly drawn: readonly TraceEvent[];
  readonly windows: readonly Window[];
}

/** What a round is made of. */
interface RoundShape {
  readonly layout: LayoutName;
  readonly seed: number;
  readonly ops: number;
  /** Operations of the rounds before it. */
  readonly before: number;
}

const ATTEMPTS = 20;
/** Runs of the same operations, one of which must show the difference again. */
const REPEATS = 3;

/** A round; where it may be disturbed, one with a difference that comes back if there is any. */
function repeatedRound(options: ValidateOptions, shape: RoundShape, unrepeated: Mismatch[]): Round {
  const first = undisturbedRound(options, shape);
  const { mismatch } = first.result;
  if (mismatch === null || options.wasDisturbed === undefined) return first;
  let again = first;
  for (let i = 0; i < REPEATS; i++) {
    again = undisturbedRound(options, shape);
    if (again.result.mismatch !== null) return again;
  }
  unrepeated.push(mismatch);
  return again;
}

function undisturbedRound(options: ValidateOptions, shape: RoundShape): Round {
  let round = oneRound(options, shape);
  for (let i = 1; options.wasDisturbed?.() === true && round.result.mismatch !== null; i++) {
    if (i === ATTEMPTS) throw new CapabilityError(`validate: disturbed ${ATTEMPTS} times in a row`);
    round = oneRound(options, shape);
  }
  return round;
}

function oneRound(options: ValidateOptions, { layout, seed, ops, before }: RoundShape): Round {
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
  const unrepeated: Mismatch[] = [];
  let result = compareFresh(options.events, windows, options, {});
  const first = result.mismatch;
  if (first !== null && options.wasDisturbed !== undefined) {
    for (let i = 0; i < REPEATS && (i === 0 || result.mismatch === null); i++) {
      result = compareFresh(options.events, windows, options, {});
    }
    if (result.mismatch === null) unrepeated.push(first);
  }
  const { events, steps } = result;
  if (result.mismatch === null) return { events, steps, mismatches: [], unrepeated };
  const mismatches = [shrunk(options.events, windows, options, result)];
  return { events, steps, mismatches, unrepeated };
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
