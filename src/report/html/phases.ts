import type { RunDocument } from '../../lab/index.ts';
import { hugeSentences } from '../huge.ts';
import { markSentences } from '../marks.ts';
import { type MemoryTable, memoryTable } from '../memory-table.ts';
import { html, type Markup, nothing } from './markup.ts';

/** A table of memory under several kernels. */
export function memorySection({ heads, rows }: MemoryTable): Markup {
  return html`<table><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([kernel = '', ...cells]) =>
      html`<tr><th scope="row">${kernel}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table>
`;
}

/** What was resident at the marks of the trace, and what huge pages cost. */
export function phasesSection(document: RunDocument): Markup {
  const memory = memoryTable(document);
  const marks = memory === undefined ? markSentences(document) : [];
  const huge = hugeSentences(document);
  if (memory === undefined && marks.length + huge.length === 0) return nothing;
  return html`<section><h2>${huge.length > 0 ? 'Phases and huge pages' : 'Phases'}</h2>
${memory === undefined ? nothing : memorySection(memory)}<ul>${[...marks, ...huge].map((text) => html`<li>${text}</li>`)}</ul></section>`;
}
