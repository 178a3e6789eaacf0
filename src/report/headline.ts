import type { RunDocument, RunResult } from '../lab/index.ts';
import { equallyGood, figuresOf, type KernelFigures, referenceRun } from './figures.ts';
import { outcomeSentence, truthSentence } from './proof.ts';
import { formatCount, formatKiB, formatShare, kibUnit, listInWords } from './units.ts';

/** The comparison in sentences, the most telling first. */
export function headline(document: RunDocument, reference?: string): string[] {
  const run = referenceRun(document, reference);
  if (run === undefined) return ['Nothing was run.'];
  const base = figuresOf(run);
  const others = document.runs.filter((other) => other !== run).map(figuresOf);
  return [costSentence(base), emptySentence(base), ...otherSentences(base, others)];
}

/** The proof: what in the recording itself says that these figures can be believed. */
export function proofSentences(document: RunDocument, reference?: string): string[] {
  const run = referenceRun(document, reference);
  if (run === undefined) return [];
  if (document.runs.every(({ truth, outcomes }) => truth.samples + outcomes.compared === 0)) {
    return [
      'This trace has no counters of a kernel and no outcomes of system calls: nothing to check these runs against.',
    ];
  }
  const sentences = [
    run.truth.samples === 0
      ? 'This trace has no counters of a kernel to compare with.'
      : `Against the recorded kernel's own counters, ${run.kernel}: ${truthSentence(run)}.`,
    `${outcomesInWords(document)}.`,
  ];
  const equal = equallyGood(document, run).map(({ kernel }) => kernel);
  if (equal.length > 1 && run.truth.samples > 0) {
    sentences.push(`${listInWords(equal)} agree with the recorded VmPTE equally well.`);
  }
  return sentences;
}

/** Runs of the same outcomes share a part. */
export function outcomesInWords({ runs }: RunDocument): string {
  const sentences = new Map<string, string[]>();
  for (const run of runs) {
    const text = outcomeSentence(run);
    sentences.set(text, [...(sentences.get(text) ?? []), run.kernel]);
  }
  const parts = [...sentences].map(([text, kernels]) => `${text} (${whichOf(kernels, runs)})`);
  return capitalised(parts.join('; '));
}

function whichOf(kernels: readonly string[], runs: readonly RunResult[]): string {
  return kernels.length === runs.length && runs.length > 1
    ? 'under each kernel'
    : kernels.join(', ');
}

function costSentence({ kernel, vmPte, rss }: KernelFigures): string {
  const share =
    rss.mean > 0 ? `, ${formatShare(vmPte.mean / rss.mean)} of the resident memory` : '';
  const unit = kibUnit(vmPte.peak);
  return `Under ${kernel} the page tables take ${formatKiB(vmPte.mean, unit)} on average${share}, and ${formatKiB(vmPte.peak, unit)} at the peak.`;
}

function emptySentence({ kernel, vmPte, emptyTables }: KernelFigures): string {
  if (emptyTables.peak === 0)
    return `At no point of the run did ${kernel} hold an empty page table.`;
  const mean = emptyTables.mean * 4;
  const unit = kibUnit(emptyTables.peak * 4);
  const share = vmPte.mean > 0 ? ` (${formatShare(mean / vmPte.mean)})` : '';
  return `Of that, ${formatKiB(mean, unit)}${share} is tables without a single entry, ${formatKiB(emptyTables.peak * 4, unit)} at the worst moment.`;
}

/** Kernels that come to the same figures share a sentence. */
function otherSentences(base: KernelFigures, others: readonly KernelFigures[]): string[] {
  const sentences = new Map<string, string[]>();
  for (const other of others) {
    const text = differenceText(base, other);
    sentences.set(text, [...(sentences.get(text) ?? []), other.kernel]);
  }
  return [...sentences].map(([text, kernels]) => {
    return `${capitalised(listInWords(kernels))}: ${text}.`;
  });
}

function differenceText(base: KernelFigures, other: KernelFigures): string {
  const mean = changeText(base.vmPte.mean, other.vmPte.mean);
  const last = changeText(base.vmPte.last, other.vmPte.last);
  if (mean === 'the same' && last === 'the same') {
    const freed = other.tablesFreed - base.tablesFreed;
    const text = 'the same page tables on average and at the last moment compared';
    if (base.emptyTables.peak === 0 && freed <= 0)
      return `${text}, as there is no empty one to free`;
    if (freed <= 0) return text;
    return `${text}, though ${formatCount(freed)} tables more were freed on the way`;
  }
  return `${formatKiB(other.vmPte.mean, kibUnit(base.vmPte.peak))} on average, ${mean}; at the last moment compared ${last}`;
}

function changeText(from: number, to: number): string {
  const change = to - from;
  if (Math.abs(change) < 0.5) return 'the same';
  const share = from > 0 ? ` (${formatShare(change / from)})` : '';
  return `${formatKiB(Math.abs(change))}${share} ${change > 0 ? 'more' : 'less'}`;
}

export function capitalised(text: string): string {
  // A kernel's name keeps its small letter.
  return /^linux-/.test(text) ? text : text.slice(0, 1).toUpperCase() + text.slice(1);
}
