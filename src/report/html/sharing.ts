import type { RunDocument } from '../../lab/index.ts';
import { sharingSentences } from '../sharing.ts';
import { html, type Markup, nothing } from './markup.ts';

/** Shared page tables, which no process's counters have, and whom the OOM killer chose. */
export function sharingSection(document: RunDocument): Markup {
  const sentences = sharingSentences(document);
  if (sentences.length === 0) return nothing;
  return html`<section><h2>Shared page tables, and memory that ran out</h2>
<ul>${sentences.map((text) => html`<li>${text}</li>`)}</ul></section>`;
}
