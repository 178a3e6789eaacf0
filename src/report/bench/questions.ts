import { formatDecimal, formatShare, formatShort, listInWords } from '../units.ts';
import { type BenchRow, isPaired, type PairedRow } from './document.ts';
import { OUR_TABLE, tablePairs, tableValues } from './values.ts';

/** A question of seed 003, and what the rows say of it. */
export interface Answer {
  readonly question: string;
  /** With figures of these rows only. */
  readonly sentences: readonly string[];
  /** What measures it. */
  readonly command: string;
}

type Rows = readonly BenchRow[];

interface Question {
  readonly question: string;
  readonly command: string;
  readonly answer: (rows: Rows) => (string | undefined)[];
}

/** What seed 003's prototype counts in, and what it names as promising. */
const PROTOTYPE = 'rhashtable';
const PATTERNS = ['dense', 'clustered', 'random'] as const;
const SINGLE_PATTERNS = ['clustered', 'random'] as const;
const COUNTS = 'pagelab bench counts';

/** In the order of the thesis: what it costs, what it depends on, what helps, the whole. */
const QUESTIONS: readonly Question[] = [
  { question: 'Insertion and removal', command: COUNTS, answer: insertion },
  { question: 'Size and utilisation', command: COUNTS, answer: size },
  { question: 'Concurrent accesses', command: COUNTS, answer: concurrency },
  { question: 'Ongoing resizing', command: COUNTS, answer: resizing },
  { question: 'Batch operations', command: COUNTS, answer: batches },
  { question: 'Parameters of the hash table', command: COUNTS, answer: parameters },
  { question: 'Other implementations', command: COUNTS, answer: implementations },
  {
    question: 'Macro scenarios: snapshot and fork server',
    command: 'pagelab bench morsels, pagelab bench fork',
    answer: macro,
  },
  {
    question: 'End to end: a shared table split, a write storm',
    command: `${COUNTS}, pagelab bench morsels`,
    answer: endToEnd,
  },
];

/** The answers that these rows have figures for. */
export function answersOf(rows: Rows): Answer[] {
  return QUESTIONS.map(({ question, command, answer }) => {
    const sentences = answer(rows).filter((text) => text !== undefined);
    return { question, command, sentences };
  }).filter(({ sentences }) => sentences.length > 0);
}

function insertion(rows: Rows): (string | undefined)[] {
  return SINGLE_PATTERNS.map((pattern) => {
    const at = (what: string): Map<string, number> =>
      tableValues(rows, `counts/${pattern}/${what}`);
    const [insert, remove, hit] = [at('insert'), at('remove'), at('hit')];
    const [slow, gone, look] = [insert, remove, hit].map((values) => values.get(PROTOTYPE));
    if (slow === undefined || gone === undefined || look === undefined) return undefined;
    const others = ['rosebush', 'line-hash', OUR_TABLE].flatMap((table) => {
      const [up, down] = [insert.get(table), remove.get(table)];
      return up === undefined || down === undefined
        ? []
        : [`${ns(up)} and ${ns(down)} by ${table}`];
    });
    return `${capital(pattern)} frames: an entry comes in ${ns(slow)} and goes in ${ns(gone)} by ${PROTOTYPE}, growth and shrinking included, where a look-up that finds one takes ${ns(look)}: ${times(slow / look)} and ${times(gone / look)} as much. It is ${listInWords(others)}.`;
  });
}

function size(rows: Rows): (string | undefined)[] {
  return PATTERNS.map((pattern) => {
    const values = tableValues(rows, `counts/${pattern}/bytes`);
    if (values.size === 0) return undefined;
    const sorted = [...values].sort((a, b) => a[1] - b[1]);
    const share = pattern === 'dense' ? 'All frames shared' : `Few shared, ${pattern}`;
    const all = sorted.map(([table, bytes]) => `${table} ${formatDecimal(bytes)}`);
    return `${share}: bytes a shared frame ${listInWords(all)}.`;
  });
}

function concurrency(rows: Rows): (string | undefined)[] {
  const one = tableValues(rows, 'counts/threads-1');
  return [2, 4, 8, 16].map((threads) => {
    const values = tableValues(rows, `counts/threads-${threads}`);
    const all = [...values].flatMap(([table, rate]) => {
      const alone = one.get(table);
      if (alone === undefined) return [];
      return [`${table} ${formatShort(rate)} (${times(rate / alone)} one thread's)`];
    });
    if (all.length === 0) return undefined;
    return `${threads} threads on the same frames, operations a second: ${listInWords(all)}.`;
  });
}

function resizing(rows: Rows): (string | undefined)[] {
  const one = tableValues(rows, 'counts/threads-1');
  const two = tableValues(rows, 'counts/threads-2');
  const values = tableValues(rows, 'counts/resizing');
  const all = [...values].flatMap(([table, rate]) => {
    const alone = one.get(table);
    return alone === undefined ? [] : [`${table} ${formatShare(rate / alone)}`];
  });
  const half = [...values.keys()].flatMap((table) => {
    const [alone, both] = [one.get(table), two.get(table)];
    return alone === undefined || both === undefined
      ? []
      : [`${table} ${formatShare(both / 2 / alone)}`];
  });
  if (all.length === 0) return [];
  return [
    `Beside a thread that makes the table grow and shrink, of a thread's rate alone is left: ${listInWords(all)}.`,
    half.length === 0
      ? undefined
      : `Half of what two such threads do together, for comparison: ${listInWords(half)}.`,
  ];
}

function batches(rows: Rows): (string | undefined)[] {
  return PATTERNS.map((pattern) => {
    const batch = tableValues(rows, `counts/${pattern}/batch`);
    const insert = tableValues(rows, `counts/${pattern}/insert`);
    const remove = tableValues(rows, `counts/${pattern}/remove`);
    const change = tableValues(rows, `counts/${pattern}/change`);
    const all = [...batch].map(([table, entry]) => {
      const [up, down, middle] = [insert, remove, change].map((values) => values.get(table));
      if (up === undefined || down === undefined || middle === undefined) {
        return `${table} ${ns(entry)}`;
      }
      // The batch's mean: comes, up, down, goes.
      const single = (up + down + 2 * middle) / 4;
      return `${table} ${ns(entry)} (one by one ${ns(single)})`;
    });
    if (all.length === 0) return undefined;
    return `${capital(pattern)} frames, an entry of a batch of 512: ${listInWords(all)}.`;
  });
}

function parameters(rows: Rows): (string | undefined)[] {
  return ['insert', 'remove', 'change', 'bytes'].map((what) => {
    const prefix = `counts/parameters/${what}/`;
    const pairs = rows.filter(isPaired).filter(({ name }) => name.startsWith(prefix));
    const [first] = pairs;
    if (first === undefined) return undefined;
    const all = pairs.map(
      ({ name, ours }) => `${name.slice(prefix.length)} ${formatDecimal(ours)}`,
    );
    return `${PROTOTYPE} as it is, ${what}: ${formatDecimal(first.theirs)} ${first.unit}; with other parameters: ${listInWords(all)}.`;
  });
}

function implementations(rows: Rows): (string | undefined)[] {
  const wins = (a: string, b: string): string | undefined => {
    const all = ['clustered/batch', 'random/insert', 'random/remove', 'random/change', 'random/hit']
      .map((what) => {
        const values = tableValues(rows, `counts/${what}`);
        const [first, second] = [values.get(a), values.get(b)];
        if (first === undefined || second === undefined) return undefined;
        return `${what.replace('/', ' ')} ${times(second / first)}`;
      })
      .filter((text) => text !== undefined);
    if (all.length === 0) return undefined;
    return `${a} against ${b}, by medians, how much faster: ${listInWords(all)}.`;
  };
  return [wins('rosebush', PROTOTYPE), wins(OUR_TABLE, PROTOTYPE), wins(OUR_TABLE, 'rosebush')];
}

const MACRO: Readonly<Record<string, string>> = {
  'morsels/snapshot': 'A snapshot of 1 GiB with one write, clone of a Morsel against fork',
  'morsels/fork-server': 'A child of a fork server, clone against fork',
  'fork/on-demand-fork': 'The call of fork, on-demand against plain',
  'fork/on-demand-write': "The child's first write in 2 MiB, on-demand against plain",
  'fork/on-demand-turn': 'Fork, a write in every eighth table and exit, on-demand against plain',
};

function macro(rows: Rows): (string | undefined)[] {
  return Object.entries(MACRO).map(([name, what]) => {
    const row = rows.find((one) => one.name === name);
    if (row === undefined || !isPaired(row)) return undefined;
    return `${what}: ${value(row.ours, row)} instead of ${value(row.theirs, row)}, ${pairText(row)}.`;
  });
}

function endToEnd(rows: Rows): (string | undefined)[] {
  const splits = PATTERNS.map((pattern) =>
    against(rows, `counts/${pattern}/split`, `A shared table is split, ${pattern} frames`),
  );
  const storms = ['ascending', 'random'].map((order) =>
    against(rows, `morsels/storm-${order}`, `A write storm in ${order} order`),
  );
  return [...splits, ...storms];
}

/** Our table's time, and each other's with the ratio over the pairs. */
function against(rows: Rows, prefix: string, what: string): string | undefined {
  const pairs = tablePairs(rows, prefix);
  const ours = tableValues(rows, prefix).get(OUR_TABLE);
  const [first] = pairs;
  if (first === undefined || ours === undefined) return undefined;
  const all = pairs.map((row) => `${row.peer} ${value(row.theirs, row)}, ${pairText(row)}`);
  return `${what}: ${OUR_TABLE} ${value(ours, first)}; ${all.join('; ')}.`;
}

/** `4.9 times (3.1 to 5.2)`. */
function pairText({ ratio, ratioLow, ratioHigh }: PairedRow): string {
  return `${times(ratio)} (${formatDecimal(ratioLow)} to ${formatDecimal(ratioHigh)})`;
}

function value(amount: number, { unit }: BenchRow): string {
  const [what, per] = unit.split('/');
  if (what === 'ns') return `${ns(amount)}${per === 'page' ? ' a page' : ''}`;
  return `${formatDecimal(amount)} ${unit}`;
}

function ns(amount: number): string {
  if (amount >= 1e6) return `${formatDecimal(amount / 1e6)} ms`;
  return amount >= 10_000 ? `${formatDecimal(amount / 1e3)} µs` : `${formatDecimal(amount)} ns`;
}

function times(ratio: number): string {
  return `${formatDecimal(ratio)} times`;
}

function capital(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}
