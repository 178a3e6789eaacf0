import { stderr } from 'node:process';
import Table from 'cli-table3';
import type { Command } from 'commander';
import { BENCHMARK_NAMES } from '../../../bench/names.ts';
import { InputError } from '../../base/index.ts';
import {
  type BenchDocument,
  type BenchRow,
  benchReport,
  joinDocuments,
  PLAIN_LINES,
  parseBenchDocument,
} from '../../report/index.ts';
import { readText, writeFileAtomically } from '../files.ts';
import { hostText } from '../host-text.ts';
import { print, printJson } from '../output.ts';
import { collect } from './run.ts';

interface BenchFlags {
  repeats: string;
  seconds: string;
  report?: string;
  from?: string[];
  json?: boolean;
}

const REPEATS_MIN = 5;

const EXAMPLES = `
Examples:
  pagelab bench counts --report counts.html           with charts
  pagelab bench counts --json > counts.json           kept for later
  pagelab bench --from counts.json --report r.html    a report of what was kept`;

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('benchmarks as ratios to the running kernel, each pair interleaved in one run')
    .argument('[name]', `${BENCHMARK_NAMES.join(', ')}; default: all`)
    .option('--repeats <count>', `pairs of measurements, at least ${REPEATS_MIN}`, '7')
    .option('--seconds <time>', 'measured time of each side of a pair', '0.2')
    .option('--report <file.html>', 'write a report with charts')
    .option(
      '--from <file.json>',
      'measure nothing: take what --json wrote before; repeatable',
      collect,
    )
    .option('--json', 'one JSON document on standard output')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string | undefined, _flags: unknown, command: Command) => {
      await runBench(name, command.optsWithGlobals<BenchFlags>());
    });
}

async function runBench(name: string | undefined, flags: BenchFlags): Promise<void> {
  const result = flags.from === undefined ? await measure(name, flags) : read(name, flags.from);
  if (flags.report !== undefined) await writeBenchReport(flags.report, result);
  if (flags.json === true) {
    printJson(result);
    return;
  }
  print(tableOf(result.rows));
  for (const note of result.notes) print(note);
  if (flags.report !== undefined) print(`report: ${flags.report}`);
}

async function measure(name: string | undefined, flags: BenchFlags): Promise<BenchDocument> {
  const repeats = Number(flags.repeats);
  if (!Number.isSafeInteger(repeats) || repeats < REPEATS_MIN) {
    throw new InputError(`--repeats ${flags.repeats}: want a whole number from ${REPEATS_MIN}`);
  }
  const seconds = Number(flags.seconds);
  if (!(seconds > 0 && seconds <= 3600)) {
    throw new InputError(`--seconds ${flags.seconds}: want a number above 0, at most 3600`);
  }
  // Loaded only here: the other commands do without, and start faster.
  const { runBenchmarks } = await import('../../../bench/index.ts');
  const result = await runBenchmarks(name, { repeats, seconds }, (row) => {
    if (stderr.isTTY) stderr.write(`${row.name} done\n`);
  });
  return { ...result, host: hostText() };
}

/** Rows that were measured before, of one benchmark or of all. */
function read(name: string | undefined, paths: readonly string[]): BenchDocument {
  const documents = paths.map((path) => parseBenchDocument(readText(path), path));
  const joined = joinDocuments(documents);
  if (name === undefined) return joined;
  const chosen = joined.rows.filter((row) => row.name.startsWith(`${name}/`));
  if (chosen.length === 0) throw new InputError(`${paths.join(', ')}: no rows of '${name}'`);
  return { ...joined, rows: chosen };
}

async function writeBenchReport(path: string, result: BenchDocument): Promise<void> {
  const html = await benchReport(result);
  writeFileAtomically(path, (sink) => sink(new TextEncoder().encode(html)));
}

function tableOf(rows: readonly BenchRow[]): string {
  const table = new Table({
    head: ['benchmark', 'ours', 'peer', '', 'unit', 'ratio', 'low', 'high'],
    colAligns: ['left', 'right', 'left', 'right', 'left', 'right', 'right', 'right'],
    chars: PLAIN_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of rows) {
    const numbers = [row.ratio, row.ratioLow, row.ratioHigh].map(figure);
    table.push([row.name, figure(row.ours), row.peer, figure(row.theirs), row.unit, ...numbers]);
  }
  const lines = table.toString().split('\n');
  const what = rows.map((row) => `${row.name}: ${row.what}`);
  const note = 'Medians; ratio above 1: ours is better; low and high: the worst and the best pair.';
  return [...lines, '', ...what, note].map((line) => line.trimEnd()).join('\n');
}

function figure(value: number | null): string {
  if (value === null) return '-';
  return value >= 1000
    ? Math.round(value).toLocaleString('en-US')
    : String(Number(value.toPrecision(3)));
}
