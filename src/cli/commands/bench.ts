import { stderr } from 'node:process';
import Table from 'cli-table3';
import type { Command } from 'commander';
import type { Row } from '../../../bench/index.ts';
import { InputError } from '../../base/index.ts';
import { PLAIN_LINES } from '../../report/index.ts';
import { print, printJson } from '../output.ts';

interface BenchFlags {
  repeats: string;
  seconds: string;
  json?: boolean;
}

const REPEATS_MIN = 5;

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('benchmarks as ratios to the running kernel, each pair interleaved in one run')
    .argument(
      '[name]',
      'fault, zap, fork, multi-fault, table-reclaim, llfree, counts, replay or tlb; default: all',
    )
    .option('--repeats <count>', `pairs of measurements, at least ${REPEATS_MIN}`, '7')
    .option('--seconds <time>', 'measured time of each side of a pair', '0.2')
    .option('--json', 'one JSON document on standard output')
    .action(async (name: string | undefined, _flags: unknown, command: Command) => {
      await runBench(name, command.optsWithGlobals<BenchFlags>());
    });
}

async function runBench(name: string | undefined, flags: BenchFlags): Promise<void> {
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
  if (flags.json === true) {
    printJson(result);
    return;
  }
  print(tableOf(result.rows));
  for (const note of result.notes) print(note);
}

function tableOf(rows: readonly Row[]): string {
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
