import type { FigurePart, Verdict } from './figure.ts';

/** A part that agrees if ours is within `tolerance` of the published number, in its unit. */
export function within(
  what: string,
  unit: string,
  published: number,
  here: number,
  tolerance: number,
): FigurePart {
  const verdict = Math.abs(here - published) <= tolerance ? 'agrees' : 'differs';
  return { what, unit, published, here, verdict };
}

/** A part that agrees if ours is at most the limit. */
export function atMost(what: string, unit: string, limit: number, here: number): FigurePart {
  return { what, unit, published: limit, here, verdict: here <= limit ? 'agrees' : 'differs' };
}

/** A number of ours beside which there is no published one. */
export function onlyHere(what: string, unit: string, here: number): FigurePart {
  return { what, unit, published: null, here, verdict: 'not comparable' };
}

/** Differs if a part does, else agrees if one does. Parts that cannot be compared do not count. */
export function verdictOf(parts: readonly FigurePart[]): Verdict {
  const verdicts = parts.map(({ verdict }) => verdict);
  if (verdicts.includes('differs')) return 'differs';
  return verdicts.includes('agrees') ? 'agrees' : 'not comparable';
}
