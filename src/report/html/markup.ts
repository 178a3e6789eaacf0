/** Text that is HTML already; everything else is escaped where it is put in. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Content = string | number | Markup | readonly Content[];

/** Builds HTML: values are escaped, unless they are markup; lists are joined. */
export function html(parts: TemplateStringsArray, ...values: Content[]): Markup {
  let text = parts[0] ?? '';
  for (const [at, value] of values.entries()) text += render(value) + (parts[at + 1] ?? '');
  return new Markup(text);
}

export const nothing = new Markup('');

function render(value: Content): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return value.map(render).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  // Control characters other than tab and newline are not allowed in HTML at all.
  return text
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char)
    .replace(/(?![\t\n])\p{Cc}/gu, '\uFFFD');
}
