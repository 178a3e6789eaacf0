import type { RunDocument, RunResult } from '../lab/index.ts';
import { formatCount, formatKiB, listInWords } from './units.ts';

/** What huge pages did and cost, in a sentence for each kernel that had any. */
export function hugeSentences({ runs }: RunDocument): string[] {
  return runs.flatMap((run) => {
    const parts = hugeParts(run);
    return parts.length === 0 ? [] : [`${run.kernel}, huge pages: ${listInWords(parts)}.`];
  });
}

function hugeParts({ final }: RunResult): string[] {
  const { hugeFaults = 0, promotions = 0, demotions = 0, hugePages } = final;
  const { hugeFallbacks = 0, compactionsInFault = 0, unmappedKiB = 0 } = hugePages ?? {};
  const parts: string[] = [];
  if (hugeFaults > 0) parts.push(`${formatCount(hugeFaults)} by a fault`);
  if (promotions > 0) parts.push(`${formatCount(promotions)} made of small ones`);
  if (demotions > 0) parts.push(`${formatCount(demotions)} taken apart`);
  if (hugeFallbacks > 0) {
    parts.push(`${formatCount(hugeFallbacks)} faults that found no 2 MiB in one piece`);
  }
  if (compactionsInFault > 0)
    parts.push(`${formatCount(compactionsInFault)} compactions in a fault`);
  if (unmappedKiB > 0) {
    parts.push(
      `${formatKiB(unmappedKiB)} beside the RSS still in use, as what is given back of a huge page waits until memory is short`,
    );
  }
  return [...parts, ...reservationParts(final.reservations), ...hawkeyeParts(final.hawkeye)];
}

/** Faults whose memory had been zeroed before, and what was given back as it was zero. */
function hawkeyeParts(counts: Record<string, number> | undefined): string[] {
  if (counts === undefined) return [];
  const { hugeFaultsPreZeroed = 0, faultsPreZeroed = 0, recoveredKiB = 0 } = counts;
  const parts: string[] = [];
  if (hugeFaultsPreZeroed + faultsPreZeroed > 0) {
    parts.push(
      `${formatCount(hugeFaultsPreZeroed)} huge and ${formatCount(faultsPreZeroed)} small pages from memory zeroed before`,
    );
  }
  if (recoveredKiB > 0) parts.push(`${formatKiB(recoveredKiB)} of zeros given back`);
  return parts;
}

/** Memory that is neither free nor in use: frames kept for pages that are not there. */
function reservationParts(counts: Record<string, number> | undefined): string[] {
  const { made = 0, broken = 0, heldKiB = 0, heldPeakKiB = 0 } = counts ?? {};
  if (made === 0) return [];
  return [
    `${formatCount(made)} reservations, of which ${formatCount(broken)} were broken`,
    `${formatKiB(heldKiB)} held at the end for pages that are not there, at most ${formatKiB(heldPeakKiB)}`,
  ];
}
