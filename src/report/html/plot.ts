import { Markup } from './markup.ts';

/** Observable Plot, drawing to text: made once a report, since it and the document it needs are big. */
export interface Plotter {
  // biome-ignore lint/suspicious/noExplicitAny: Plot's types need the DOM's, which this layer has not
  readonly Plot: any;
  /** Draws a plot; title and description are what a screen reader says instead of it. */
  draw(options: object, title: string, description: string): Markup;
}

export async function plotter(): Promise<Plotter> {
  const [Plot, { parseHTML }] = await Promise.all([
    import('@observablehq/plot'),
    import('linkedom'),
  ]);
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  let drawn = 0;
  const draw = (options: object, title: string, description: string): Markup => {
    drawn += 1;
    const svg = Plot.plot({ className: 'plot', ...options, document });
    svg.querySelector('style')?.remove();
    const id = `chart-${drawn}`;
    for (const [tag, text] of [
      ['desc', description],
      ['title', title],
    ] as const) {
      const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
      element.setAttribute('id', `${id}-${tag}`);
      element.textContent = text;
      svg.insertBefore(element, svg.firstChild);
    }
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-labelledby', `${id}-title ${id}-desc`);
    return new Markup(shortened(svg.outerHTML));
  };
  return { Plot, draw };
}

/** Coordinates to a tenth of a pixel; texts stay. */
function shortened(svg: string): string {
  return svg.replace(/ (?:d|transform|[cxy][xy12]?)="[^"]*"/g, (attribute) =>
    attribute.replace(/\d+\.\d{2,}/g, (number) => String(Math.round(Number(number) * 10) / 10)),
  );
}
