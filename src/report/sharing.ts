import type { OomKill, RunDocument, RunResult } from '../lab/index.ts';
import { formatCount, formatKiB, listInWords } from './units.ts';

/** Kills that are told one by one. */
const KILLS_TOLD = 3;

/** What shared page tables hold and did, and whom the OOM killer chose: sentences by kernel. */
export function sharingSentences({ runs }: RunDocument): string[] {
  return runs.flatMap((run) => [
    ...mshareSentence(run),
    ...morselSentence(run),
    ...oomSentence(run),
  ]);
}

function mshareSentence({ kernel, final, peak }: RunResult): string[] {
  const { mshare } = final;
  if (mshare === undefined || (peak.mshare?.['peakLinks'] ?? mshare['peakLinks'] ?? 0) === 0)
    return [];
  const of = (name: string): number => mshare[name] ?? 0;
  const parts = [
    `${formatKiB(of('hostVmPteKiB'))} of page tables for ${formatKiB(of('hostRssKiB'))} in ${formatCount(of('regions'))} shared region${of('regions') === 1 ? '' : 's'}, in no process's VmPTE or RSS`,
    `${formatCount(of('peakLinks'))} links at most, one for each process and 512 GiB`,
    `${formatCount(of('linkFaults'))} faults that made them`,
  ];
  if (of('flushes') > 0)
    parts.push(`${formatCount(of('flushes'))} changes that all had to be told of`);
  return [`${kernel}: ${listInWords(parts)}.`];
}

function morselSentence({ kernel, final }: RunResult): string[] {
  const { morsels } = final;
  if (morsels === undefined || morsels['maps'] === 0) return [];
  const of = (name: string): number => morsels[name] ?? 0;
  const parts = [
    `${formatKiB(of('peakTables') * 4)} of page tables for ${formatKiB(of('peakPages') * 4)} in Morsels at most, in no process's VmPTE or RSS`,
    `${formatCount(of('maps'))} mappings, one entry each`,
  ];
  if (of('clones') > 0) {
    parts.push(
      `${formatCount(of('clones'))} clones, after which writes copied ${formatCount(of('tableCopies'))} tables and ${formatCount(of('pageCopies'))} pages`,
    );
  }
  return [`${kernel}: ${listInWords(parts)}.`];
}

function oomSentence({ kernel, final, oom }: RunResult): string[] {
  if (oom.length === 0) return [];
  const told = oom.slice(0, KILLS_TOLD).map(killText);
  const more = final.oomKills - told.length;
  const rest = more > 0 ? `; and ${formatCount(more)} more` : '';
  return [`${kernel}: out of memory: ${told.join('; ')}${rest}.`];
}

function killText({ pid, forPid, residentKiB, pageTablesKiB }: OomKill): string {
  const who = forPid === 0 ? '' : ` for process ${formatCount(forPid)}`;
  return `process ${formatCount(pid)} was killed${who} (${formatKiB(residentKiB)} resident, ${formatKiB(pageTablesKiB)} of page tables)`;
}
