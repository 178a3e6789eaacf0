/**
 * How well a constant is founded. `source`: read in the code or data of what is modelled;
 * `notes`: read in third-party notes; `recalled`: remembered from a manual or paper, not read again;
 * `derived`: arithmetic from other constants; `assumption`: ours.
 */
export type Ground = 'source' | 'notes' | 'recalled' | 'derived' | 'assumption';

/** A constant with where it comes from. */
export interface Sourced {
  readonly ground: Ground;
  readonly source: string;
}

export interface SourcedNumber extends Sourced {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}
