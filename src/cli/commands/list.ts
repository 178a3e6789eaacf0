import { Argument, type Command } from 'commander';
import { HARDWARE_PRESETS } from '../../engine/index.ts';
import { ADDRESS_GENERATORS, BASES, MACHINES, MECHANISMS, WORKLOADS } from '../../lab/index.ts';
import { print, printJson } from '../output.ts';
import { recordingNames } from '../sources.ts';

interface Row {
  name: string;
  title: string;
}

const KINDS = [
  'kernels',
  'mechanisms',
  'workloads',
  'recordings',
  'machines',
  'hardware',
  'generators',
  'formats',
] as const;
type Kind = (typeof KINDS)[number];

export function addList(program: Command): void {
  program
    .command('list')
    .description('what there is, one line each')
    .addArgument(new Argument('[kind]', 'only this kind').choices([...KINDS]))
    .option('--json', 'one JSON document on standard output')
    .action((kind: Kind | undefined, _flags: unknown, command: Command) => {
      const kinds = kind === undefined ? KINDS : [kind];
      const rows = Object.fromEntries(kinds.map((k) => [k, rowsOf(k)]));
      if (command.optsWithGlobals()['json']) printJson(rows);
      else for (const k of kinds) printRows(k, rowsOf(k), kinds.length > 1);
    });
}

function rowsOf(kind: Kind): Row[] {
  switch (kind) {
    case 'kernels':
      return BASES.map(({ rules, aliases, title }) => {
        const alias = aliases.length > 0 ? ` (also: ${aliases.join(', ')})` : '';
        return { name: rules.name, title: title + alias };
      });
    case 'mechanisms':
      return MECHANISMS.map(({ id, title }) => ({ name: id, title }));
    case 'workloads':
      return WORKLOADS.map(({ name, title, parameters }) => ({
        name,
        title: `${title} [${settingsOf(parameters)}]`,
      }));
    case 'recordings':
      return recordingNames().map((name) => ({
        name,
        title: 'bundled recording of a real program',
      }));
    case 'machines':
      return MACHINES.map(({ name, title }) => ({ name, title }));
    case 'hardware':
      return HARDWARE_PRESETS.map(({ name, title }) => ({ name, title }));
    case 'generators':
      return ADDRESS_GENERATORS.map(({ name, title, parameters }) => ({
        name,
        title: `${title} [${settingsOf(parameters)}]`,
      }));
    case 'formats':
      return [
        { name: 'pagelab', title: 'binary trace, read and written (any other ending of -o)' },
        {
          name: 'ndjson',
          title: 'text trace, one event a line, read and written (.ndjson, .ndjson.gz)',
        },
        { name: 'tracefs', title: 'trace_pipe text with its maps and status files, imported' },
        { name: 'strace', title: 'strace -f, any time stamps, imported' },
        { name: 'perf', title: 'perf script of page-faults, imported' },
        { name: 'lackey', title: 'valgrind --tool=lackey --trace-mem=yes, for pagelab tlb' },
        { name: 'champsim', title: 'ChampSim instruction trace, plain or .gz, for pagelab tlb' },
        {
          name: 'drmemtrace',
          title: 'finished trace of DynamoRIO, or the text of its view tool, for pagelab tlb',
        },
      ];
  }
}

function settingsOf(parameters: Readonly<Record<string, { value: number }>>): string {
  return Object.entries(parameters)
    .map(([key, { value }]) => `${key}=${value}`)
    .join(' ');
}

function printRows(kind: Kind, rows: readonly Row[], hasHeading: boolean): void {
  if (hasHeading) print(`${kind}:`);
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const { name, title } of rows)
    print(`${hasHeading ? '  ' : ''}${name.padEnd(width)}  ${title}`);
}
