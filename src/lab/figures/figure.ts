import type { TraceReader } from '../../trace/index.ts';

/**
 * A published figure and how pagelab comes to its own. This folder has one file for the figures of
 * each system; `registry.ts` lists them, `reproduce.ts` runs them. Nothing here is fitted: constants
 * that went in are named under `inputs` with their sources.
 */
export interface Figure {
  /** `system.figure`; a prefix up to the dot selects a system. */
  readonly id: string;
  /** Number of the published document (seeds). */
  readonly seed: string;
  readonly what: string;
  /** Unit of the main part. */
  readonly unit: string;
  /** The published statement, as published. */
  readonly published: string;
  readonly source: string;
  /** How ours comes about. */
  readonly method: FigureMethod;
  readonly inputs: readonly FigureInput[];
  /** What must hold for "agrees". */
  readonly rule: string;
  /** True if it takes less than a second or so: tests run those. */
  readonly isQuick: boolean;
  run(context: FigureContext): FigureResult | Promise<FigureResult>;
}

/**
 * `engine`: the mechanism ran, at the published size; `kernel`: measured on the running kernel;
 * `model`: counts of the engine times published costs; `arithmetic`: nothing ran.
 */
export type FigureMethod = 'engine' | 'kernel' | 'model' | 'arithmetic';

export type Verdict = 'agrees' | 'differs' | 'not comparable';

/** A constant that went in. */
export interface FigureInput {
  readonly name: string;
  readonly value: string;
  readonly source: string;
}

export interface FigureResult {
  /** Ours in one sentence. */
  readonly here: string;
  readonly verdict: Verdict;
  /** Why the verdict is what it is. */
  readonly why: string;
  /** The same as numbers. */
  readonly parts: readonly FigurePart[];
}

export interface FigurePart {
  readonly what: string;
  readonly unit: string;
  /** Null where nothing was published for this part. */
  readonly published: number | null;
  readonly here: number;
  readonly verdict: Verdict;
}

/** What a figure may use of the world outside; the pure layers have none of it. */
export interface FigureContext {
  /** Milliseconds of a steady clock. */
  readonly nowMs: () => number;
  /** What is being done. */
  readonly onProgress: (text: string) => void;
  /** A bundled recording by name. Throws InputError if it is not there. */
  readonly openRecording: (name: string) => TraceReader;
  /** Measures `multi-fault` on real threads. Throws CapabilityError where there are none. */
  readonly measureMultiFault: () => Promise<MultiFaultMeasurement>;
  /** Measures LLFree against the buddy on real threads. Throws CapabilityError where there are none. */
  readonly measureLLFree: () => Promise<readonly AllocatorRow[]>;
}

/** A call of LLFree and of the buddy, medians of pairs in one run (bench/llfree.ts). */
export interface AllocatorRow {
  readonly what: string;
  readonly oursNs: number;
  readonly theirsNs: number;
  /** How many times faster LLFree is: the median of the pairs. */
  readonly ratio: number;
}

/** `multi-fault` at several numbers of threads (bench/multi-fault.ts). */
export interface MultiFaultMeasurement {
  /** A first touch on the running kernel in the same run, ns; null where that cannot be. */
  readonly kernelFaultNs: number | null;
  /** `thread`: processor time of each thread; `wall`: where that is not to be had. */
  readonly clock: 'thread' | 'wall';
  readonly rows: readonly MultiFaultRow[];
}

/** Each way to keep references to a table against a build without any count, in ns a fault. */
export interface MultiFaultRow {
  readonly threads: number;
  /** Median of a fault without. */
  readonly withoutNs: number;
  /** First `pte-ref-lock`: the count alone, which the engine keeps in any case. */
  readonly ways: readonly MultiFaultWay[];
}

export interface MultiFaultWay {
  /** Id of the mechanism. */
  readonly mechanism: string;
  /** Median of a fault under it. */
  readonly withNs: number;
  /** Of the pairs' differences: the median and its 95 % interval by ranks. */
  readonly costNs: Spread;
  /** The same relative to the side without, in percent. */
  readonly costPercent: Spread;
  /** Percent change of faults a minute, the drop included, as published. */
  readonly ratePercent: Spread;
  readonly pairs: number;
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** The whole document of `pagelab reproduce --json`. */
export interface ReproduceDocument {
  readonly pagelab: 1;
  /** The machine that ran it, in words. */
  readonly host: string;
  readonly rows: readonly FigureRow[];
}

export interface FigureRow {
  readonly id: string;
  readonly seed: string;
  readonly what: string;
  readonly unit: string;
  readonly published: string;
  readonly source: string;
  readonly here: string;
  readonly method: FigureMethod;
  readonly inputs: readonly FigureInput[];
  readonly rule: string;
  readonly verdict: Verdict;
  readonly why: string;
  readonly parts: readonly FigurePart[];
  readonly elapsedMs: number;
}
