import { InputError } from '../../base/index.ts';

/**
 * This folder turns the rows of `pagelab bench` into what a report shows: groups, values by table, and
 * answers to the questions of seed 003. html/bench-*.ts draw them.
 */

/** A row as `pagelab bench --json` gives it (bench/row.ts), which may come from a file. */
export interface BenchRow {
  /** `benchmark/variant`, with more parts where a benchmark has them. */
  readonly name: string;
  readonly what: string;
  /** Medians in `unit`; null where there is no peer. */
  readonly ours: number;
  readonly theirs: number | null;
  readonly peer: string;
  readonly unit: string;
  /** Of the pairs: median, worst and best; above 1: ours is better. */
  readonly ratio: number | null;
  readonly ratioLow: number | null;
  readonly ratioHigh: number | null;
  readonly repeats: number;
}

export interface BenchDocument {
  readonly rows: readonly BenchRow[];
  /** What was left out, and why. */
  readonly notes: readonly string[];
  /** The machine that measured, in words; several if documents were joined. */
  readonly host?: string;
}

/** A row with a peer. */
export interface PairedRow extends BenchRow {
  readonly theirs: number;
  readonly ratio: number;
  readonly ratioLow: number;
  readonly ratioHigh: number;
}

export function isPaired(row: BenchRow): row is PairedRow {
  return row.ratio !== null;
}

const TEXTS = ['name', 'what', 'peer', 'unit'] as const;
const PEER_FIGURES = ['theirs', 'ratio', 'ratioLow', 'ratioHigh'] as const;

/** The document in a text that `bench --json` wrote. Throws InputError that names `source` and the place. */
export function parseBenchDocument(text: string, source: string): BenchDocument {
  const wanted = 'want what `pagelab bench --json` writes';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InputError(`${source}: not JSON, ${wanted}`);
  }
  const { rows, notes = [], host } = isObject(value) ? value : {};
  if (!Array.isArray(rows)) throw new InputError(`${source}: no "rows", ${wanted}`);
  if (rows.length === 0) throw new InputError(`${source}: "rows" is empty, ${wanted}`);
  if (!Array.isArray(notes) || !notes.every((note) => typeof note === 'string')) {
    throw new InputError(`${source}: "notes": want a list of texts`);
  }
  if (host !== undefined && typeof host !== 'string') {
    throw new InputError(`${source}: "host": want a text`);
  }
  const parsed = rows.map((row, at) => parseRow(row, `${source}: rows[${at}]`));
  return { rows: parsed, notes, ...(host === undefined ? {} : { host }) };
}

function parseRow(row: unknown, place: string): BenchRow {
  if (!isObject(row)) throw new InputError(`${place}: want an object`);
  for (const key of TEXTS) {
    if (typeof row[key] !== 'string' || row[key] === '') {
      throw new InputError(`${place}: "${key}": want a text`);
    }
  }
  for (const key of ['ours', 'repeats']) wantPositive(row[key], `${place}: "${key}"`);
  // With a peer all four are numbers, without one none is.
  const hasPeer = row['ratio'] !== null;
  for (const key of PEER_FIGURES) {
    if (hasPeer) wantPositive(row[key], `${place}: "${key}"`);
    else if (row[key] !== null) throw new InputError(`${place}: "${key}": want null, as "ratio"`);
  }
  return row as unknown as BenchRow;
}

function wantPositive(value: unknown, place: string): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw new InputError(`${place}: want a number above 0`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Rows of several documents after each other; of rows of one name the last. */
export function joinDocuments(documents: readonly BenchDocument[]): BenchDocument {
  const rows = new Map<string, BenchRow>();
  for (const document of documents) for (const row of document.rows) rows.set(row.name, row);
  const hosts = new Set(documents.flatMap(({ host }) => (host === undefined ? [] : [host])));
  return {
    rows: [...rows.values()],
    notes: documents.flatMap(({ notes }) => notes),
    ...(hosts.size === 0 ? {} : { host: [...hosts].join('; ') }),
  };
}
