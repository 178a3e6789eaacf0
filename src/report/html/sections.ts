import type { RunDocument, RunResult } from '../../lab/index.ts';
import { isTimed } from '../figures.ts';
import { outcomesInWords } from '../headline.ts';
import { fieldLines, worstText } from '../proof.ts';
import { formatCount, listInWords } from '../units.ts';
import { html, type Markup, nothing } from './markup.ts';
import { outcomeTable, truthTable } from './tables.ts';

/** Where replay and recording part, and where they could but do not. */
export function differencesSection(document: RunDocument, reference: RunResult): Markup {
  const { runs } = document;
  if (!isRecorded(document)) return nothing;
  const others = runs.filter((run) => run !== reference).flatMap(otherItem);
  return html`<section><h2>Against the recording</h2>
<p>${truthWords(reference)}</p>
${truthTable(reference)}
<ul><li>${outcomesInWords(document)}.</li>${others}</ul>
${outcomeTable(runs)}</section>`;
}

function truthWords(run: RunResult): string {
  const { kernel, truth } = run;
  if (truth.samples === 0) {
    return 'The recording holds no counters of the kernel, so only answers could be compared.';
  }
  const { samples, exact, exactAtStamp } = truth;
  const off = fieldLines(run).filter((line) => line.truth.exact < line.truth.compared);
  const equal = `${formatCount(exact)} of ${formatCount(samples)} samples equal ${kernel} in every counter at once`;
  const but =
    off.length === 0 ? '' : `; what differs is ${listInWords(off.map(({ name }) => name))}`;
  const within = exact - exactAtStamp;
  if (within <= 0) return `${equal}${but}.`;
  return `${equal}${but}. ${formatCount(within)} of them do so inside the interval in which the recorder read the counters, not at its end.`;
}

/** Another kernel than the recorded one need not agree; how far it is off is the finding. */
function otherItem(run: RunResult): Markup[] {
  const line = fieldLines(run).find(({ field }) => field === 'vmPteKiB');
  if (line === undefined) return [];
  const { compared, exact, worstLine } = line.truth;
  const counts = `VmPTE as recorded at ${formatCount(exact)} of ${formatCount(compared)} samples`;
  if (exact === compared) return [html`<li>${run.kernel}: ${counts}.</li>`];
  const worst = `at most ${worstText(line)} off (line ${formatCount(worstLine)})`;
  return [
    html`<li>${run.kernel}: ${counts}, ${worst}: what this kernel would have done otherwise.</li>`,
  ];
}

export function methodSection(document: RunDocument, machine: string): Markup {
  const { trace, runs } = document;
  const source = trace.source === '' ? '' : ` (${trace.source})`;
  const time = runs.some(isTimed)
    ? 'Times are those of the recording'
    : 'The trace has no times, so curves and means run over events';
  const recorded = isRecorded(document)
    ? html`<li>${time}: the program ran once, on the recorded kernel, and does here what it did there. What it would have done sooner or later under another kernel is not shown.</li>
<li>Recorded points are the kernel's own: /proc/PID/status, read while the program ran. “Exact” means equal to the kB; the counters of a sample count together, at one moment of the interval in which they were read.</li>`
    : html`<li>${time}.</li>`;
  return html`<section><h2>How this was measured</h2><ul>
<li>Each kernel is an engine that executed all ${formatCount(trace.events)} events of ${trace.name}${source} on its own frames, page tables and areas${machine === '' ? '' : `, on ${machine}`}. Every figure of memory, tables and faults is a counter of that engine, as the kernel counts it.</li>
${recorded}
<li>The only times measured on this machine are those of the replay (“took”, “events/s”).</li>
<li>kB, MB and GB are 1024 bytes, kB and MB, as in /proc.</li></ul></section>`;
}

/** False for a workload: nothing in it came from a kernel. */
function isRecorded({ runs }: RunDocument): boolean {
  return runs.some(({ truth, outcomes }) => truth.samples + outcomes.compared > 0);
}
