import type { RunDocument } from '../../lab/index.ts';
import { hugeSentences } from '../huge.ts';
import { markSentences } from '../marks.ts';
import { html, type Markup, nothing } from './markup.ts';

/** What was resident at the marks of the trace, and what huge pages cost. */
export function phasesSection(document: RunDocument): Markup {
  const marks = markSentences(document);
  const huge = hugeSentences(document);
  if (marks.length + huge.length === 0) return nothing;
  return html`<section><h2>${huge.length > 0 ? 'Phases and huge pages' : 'Phases'}</h2>
<ul>${[...marks, ...huge].map((text) => html`<li>${text}</li>`)}</ul></section>`;
}
