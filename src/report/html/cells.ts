import { Markup } from './markup.ts';

/**
 * Cells of a picture as one path a class: cells of one class that follow each other in a row are one
 * rectangle, so that tens of thousands of cells stay small.
 */
export class Cells {
  readonly #paths = new Map<string, string[]>();

  /** A rectangle of the class; x and y from the upper left. */
  add(name: string, x: number, y: number, width: number, height: number): void {
    let path = this.#paths.get(name);
    if (path === undefined) this.#paths.set(name, (path = []));
    const [left, span] = [rounded(x), rounded(width)];
    path.push(`M${left} ${rounded(y)}h${span}v${rounded(height)}h-${span}z`);
  }

  get markup(): Markup {
    const paths = [...this.#paths].map(
      ([name, path]) => `<path class="${name}" d="${path.join('')}"/>`,
    );
    return new Markup(paths.join(''));
  }
}

/** A tenth of a pixel. */
function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The class of a share of 1, as in the picture of an address space. */
export function shareClass(share: number): string {
  if (share >= 1) return 'u5';
  return `u${Math.max(1, Math.min(4, Math.ceil(share * 4)))}`;
}
