import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import { HARDWARE_PRESETS } from '../../engine/index.ts';
import {
  ADDRESS_GENERATORS,
  BASES,
  KERNEL_COSTS,
  KERNEL_SETTINGS,
  MACHINE_SETTINGS,
  MACHINES,
  MECHANISMS,
  TIME_PREFIX,
  WORKLOADS,
  type WorkloadParameter,
} from '../../lab/index.ts';
import { wrapWords } from '../../report/index.ts';
import { isTerminal, print, printJson, terminalWidth } from '../output.ts';
import { recordingNames } from '../sources.ts';

interface Row {
  name: string;
  title: string;
  /** Its own settings, with their defaults. */
  settings?: Readonly<Record<string, number>>;
}

const KINDS = [
  'kernels',
  'groups',
  'mechanisms',
  'workloads',
  'recordings',
  'machines',
  'settings',
  'hardware',
  'generators',
  'formats',
] as const;
type Kind = (typeof KINDS)[number];

export function addList(program: Command): void {
  program
    .command('list')
    .description('what there is, one line each; the settings of one thing')
    .argument(
      '[what]',
      `only one kind: ${KINDS.join(', ')}; or the name of a workload, a mechanism or a generator: what can be --set of it`,
    )
    .option('--json', 'one JSON document on standard output')
    .action((what: string | undefined, _flags: unknown, command: Command) => {
      const isJson = command.optsWithGlobals()['json'] === true;
      const own = what === undefined || isKind(what) ? undefined : settingsOf(what);
      if (own !== undefined) {
        if (isJson) printJson({ [what as string]: own });
        else if (own.length === 0) print(`${what}: nothing can be set`);
        else printRows(own, '');
        return;
      }
      const kinds = what === undefined ? KINDS : [what as Kind];
      if (isJson) printJson(Object.fromEntries(kinds.map((kind) => [kind, rowsOf(kind)])));
      else for (const kind of kinds) printKind(kind, kinds.length > 1);
    });
}

function isKind(what: string): what is Kind {
  return (KINDS as readonly string[]).includes(what);
}

/** A row for each setting of a workload, generator or mechanism. */
function settingsOf(name: string): Row[] {
  const generated = [...WORKLOADS, ...ADDRESS_GENERATORS].find((one) => one.name === name);
  if (generated !== undefined) return rowsOfParameters(generated.parameters);
  const mechanism = MECHANISMS.find(({ id }) => id === name);
  if (mechanism === undefined) {
    throw new InputError(
      `list ${name}: want ${KINDS.join(', ')}, or the name of a workload, a mechanism or a generator`,
    );
  }
  return Object.entries(mechanism.settings ?? {}).map(([key, value]) => ({
    name: `${name}.${key}`,
    title: `${mechanism.settingTexts?.[key] ?? ''} (${value})`,
  }));
}

function rowsOfParameters(parameters: Readonly<Record<string, WorkloadParameter>>): Row[] {
  return Object.entries(parameters).map(([key, { value, what }]) => ({
    name: key,
    title: `${what} (${value})`,
  }));
}

function rowsOf(kind: Kind): Row[] {
  switch (kind) {
    case 'kernels':
      return BASES.map(({ rules, aliases, title }) => {
        const alias = aliases.length > 0 ? ` (also: ${aliases.join(', ')})` : '';
        return { name: rules.name, title: title + alias };
      });
    case 'groups':
      return [
        { name: 'all', title: 'every base, and each mechanism alone on every base' },
        { name: 'ways', title: 'ways to get rid of empty page tables, beside none' },
        { name: 'comparators', title: 'ways to manage huge pages' },
      ];
    case 'mechanisms':
      return MECHANISMS.map(({ id, title, settings }) => ({
        name: id,
        title,
        ...(settings === undefined ? {} : { settings }),
      }));
    case 'workloads':
      return WORKLOADS.map(withParameters);
    case 'recordings':
      return recordingNames().map((name) => ({
        name,
        title: 'bundled recording of a real program',
      }));
    case 'machines':
      return MACHINES.map(({ name, title }) => ({ name, title }));
    case 'settings':
      return settingRows();
    case 'hardware':
      return HARDWARE_PRESETS.map(({ name, title }) => ({ name, title }));
    case 'generators':
      return ADDRESS_GENERATORS.map(withParameters);
    case 'formats':
      return FORMATS;
  }
}

const FORMATS: Row[] = [
  { name: 'pagelab', title: 'binary trace, read and written (any other ending of -o)' },
  { name: 'ndjson', title: 'text trace, read and written (.ndjson, .ndjson.gz)' },
  { name: 'tracefs', title: 'trace_pipe text with its maps and status files, imported' },
  { name: 'strace', title: 'strace -f, any time stamps, imported' },
  { name: 'perf', title: 'perf script of page-faults, imported' },
  { name: 'lackey', title: 'valgrind --tool=lackey --trace-mem=yes, for pagelab tlb' },
  { name: 'champsim', title: 'ChampSim instruction trace, plain or .gz, for pagelab tlb' },
  { name: 'drmemtrace', title: 'finished DynamoRIO trace or its view as text, for tlb' },
];

function withParameters(of: {
  readonly name: string;
  readonly title: string;
  readonly parameters: Readonly<Record<string, WorkloadParameter>>;
}): Row {
  const { name, title, parameters } = of;
  const defaults = Object.entries(parameters).map(([key, { value }]) => [key, value]);
  return { name, title, settings: Object.fromEntries(defaults) };
}

/** What can be set of every machine and kernel, and of modelled time. */
function settingRows(): Row[] {
  return [
    ...Object.entries({ ...MACHINE_SETTINGS, ...KERNEL_SETTINGS }),
    ...KERNEL_COSTS.map(({ name, value, unit, source }) => [
      TIME_PREFIX + name,
      `${value} ${unit}: ${source}`,
    ]),
  ].map(([name = '', title = '']) => ({ name, title }));
}

function printKind(kind: Kind, hasHeading: boolean): void {
  if (hasHeading) print(`${kind}:`);
  printRows(rowsOf(kind), hasHeading ? '  ' : '');
}

/** On a terminal what is too long goes on below; elsewhere each row is one line. */
function printRows(rows: readonly Row[], indent: string): void {
  const width = Math.max(0, ...rows.map(({ name }) => name.length)) + 2;
  const room = (isTerminal() ? terminalWidth() : Number.POSITIVE_INFINITY) - indent.length - width;
  for (const { name, title } of rows) {
    const [first = '', ...more] = wrapWords(title, room);
    print(`${indent}${name.padEnd(width)}${first}`);
    for (const line of more) print(' '.repeat(indent.length + width) + line);
  }
}
