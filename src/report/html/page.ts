import { html, Markup } from './markup.ts';
import { STYLE } from './style.ts';

/** A whole page around a body; its policy refuses whatever would be loaded. */
export function page(title: string, body: Markup): Markup {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title} - pagelab</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>${new Markup(STYLE)}</style></head>
<body><main>
${body}
</main></body></html>`;
}
