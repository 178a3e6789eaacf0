import type { FieldTruth, RunResult } from '../lab/index.ts';
import { formatCount } from './units.ts';

/** One recorded counter against ours. */
export interface FieldLine {
  /** The name in /proc/PID/status, or in words. */
  name: string;
  field: string;
  unit: string;
  truth: FieldTruth;
  /** Why it need not agree, where that is known. */
  reason: string;
}

const FIELD_NAMES: Readonly<Record<string, string>> = {
  vmPteKiB: 'VmPTE',
  rssAnonKiB: 'RssAnon',
  rssFileKiB: 'RssFile',
  rssShmemKiB: 'RssShmem',
  vmSizeKiB: 'VmSize',
  vmSwapKiB: 'VmSwap',
  anonHugeKiB: 'AnonHugePages',
  presentPages: 'present pages',
  swappedPages: 'swapped pages',
};

const FIELD_REASONS: Readonly<Record<string, string>> = {
  rssFileKiB:
    'Depends on which pages of a file were in the page cache (a fault maps up to 16 of them at once); no recording has that.',
};

/** The fields that were compared: VmPTE first, then as above. */
export function fieldLines(run: RunResult): FieldLine[] {
  const lines: FieldLine[] = [];
  for (const [field, name] of Object.entries(FIELD_NAMES)) {
    const truth = run.truth.fields[field as keyof RunResult['truth']['fields']];
    if (truth === undefined) continue;
    const reason = truth.exact < truth.compared ? (FIELD_REASONS[field] ?? '') : '';
    lines.push({ name, field, unit: field.endsWith('KiB') ? ' kB' : '', truth, reason });
  }
  return lines;
}

/** `VmPTE exact at 14 of 14 samples; RssAnon at 11 of 14 (largest difference +20 kB, line 25,257)`. */
export function truthSentence(run: RunResult): string {
  const lines = fieldLines(run);
  if (lines.length === 0) return 'none of the recorded counters is one that the engine has';
  const [first, ...rest] = lines;
  const parts = first === undefined ? [] : [fieldText(first, true)];
  const exact = rest.filter(({ truth }) => truth.exact === truth.compared);
  for (const line of rest) if (!exact.includes(line)) parts.push(fieldText(line, false));
  if (exact.length > 0) {
    parts.push(`${exact.map(({ name }) => name).join(', ')} at all ${countsOf(exact)}`);
  }
  return parts.join('; ');
}

export function outcomeSentence(run: RunResult): string {
  const { compared, equal } = run.outcomes;
  if (compared === 0) return 'the trace has no outcomes of system calls or touches';
  return `${formatCount(equal)} of ${formatCount(compared)} outcomes of system calls and touches equal`;
}

/** Largest difference as `+20 kB`, ours minus recorded. */
export function worstText(line: FieldLine): string {
  const { worst } = line.truth;
  return `${worst > 0 ? '+' : ''}${formatCount(worst)}${line.unit}`;
}

function fieldText(line: FieldLine, isFirst: boolean): string {
  const { compared, exact, worstLine } = line.truth;
  const counts = `${formatCount(exact)} of ${formatCount(compared)}`;
  const text = isFirst ? `${line.name} exact at ${counts} samples` : `${line.name} at ${counts}`;
  if (exact === compared) return text;
  return `${text} (largest difference ${worstText(line)}, line ${formatCount(worstLine)})`;
}

function countsOf(lines: readonly FieldLine[]): string {
  const counts = [...new Set(lines.map(({ truth }) => truth.compared))];
  return counts.map(formatCount).join(' or ');
}
