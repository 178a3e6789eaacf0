import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import {
  ADDRESS_GENERATORS,
  COST_NAMES,
  findGenerator,
  findWorkload,
  type HardwareWishes,
  makeHardware,
  openGenerator,
  openWorkload,
  rehearse,
  translate,
  workloadValues,
} from '../../lab/index.ts';
import { tlbTable } from '../../report/index.ts';
import { type AddressSource, TouchSource } from '../../trace/index.ts';
import { ADDRESS_FORMATS, type AddressFormat, openAddresses } from '../address-files.ts';
import { Progress, print, printJson } from '../output.ts';
import { recordingNames, recordingPath } from '../sources.ts';
import { collect, parseSeed } from './run.ts';

interface TlbFlags {
  preset?: string;
  level?: string[];
  pageBytes?: string;
  pages?: string[];
  hostPageBytes?: string;
  tableLevels?: string;
  walkCaches?: string;
  format?: AddressFormat;
  instructions?: boolean;
  set?: string[];
  seed?: string;
  json?: boolean;
}

export function addTlb(program: Command): void {
  program
    .command('tlb')
    .description('translation hardware over an address trace: TLB hits and misses, page walks')
    .argument('<trace or generator>', 'a file, a recording or workload, or a generator of `list`')
    .option('-p, --preset <preset>', 'hardware (pagelab list hardware); default: skylake')
    .option(
      '--level <sets=S,ways=W>',
      'a TLB for all pages, behind those before; repeatable',
      collect,
    )
    .option('--page-bytes <size>', 'page size, as 4096, 4k, 2m; default: 4k')
    .option('--pages <from-to=size>', 'page size of a range, as 0x…-0x…=2m; repeatable', collect)
    .option('--host-page-bytes <size>', 'nested walks: page size of the host')
    .option('--table-levels <4 or 5>', 'levels of page tables')
    .option('--walk-caches <preset>', "a preset's walk caches, or none")
    .addOption(
      new Option('--format <format>', 'default: by the first bytes').choices([...ADDRESS_FORMATS]),
    )
    .option('--instructions', 'also the fetches of instructions')
    .option('--set <key=value>', 'a constant of the model, or of a generator; repeatable', collect)
    .option('--seed <number>', 'seed of a generator', '1')
    .option('--json', 'one JSON document on standard output')
    .action((name: string, _flags: unknown, command: Command) => {
      runTlb(name, command.optsWithGlobals<TlbFlags>());
    });
}

function runTlb(name: string, flags: TlbFlags): void {
  const { costs, others } = splitCosts(flags.set ?? []);
  const wishes = { ...wishesOf(flags), costs };
  const hardware = makeHardware(wishes);
  const { source, format } = openSource(name, flags, others);
  rehearse(makeHardware(wishes));
  const title = basename(name);
  const progress = new Progress(title);
  const document = translate(source, hardware, {
    name: title,
    format,
    nowMs: () => performance.now(),
    onProgress: (accesses) => progress.update(accesses),
  });
  progress.stop();
  if (flags.json === true) printJson(document);
  else print(tlbTable(document));
}

function wishesOf(flags: TlbFlags): HardwareWishes {
  const { preset, level, pageBytes, pages, hostPageBytes, tableLevels, walkCaches } = flags;
  return {
    ...(preset === undefined ? {} : { preset }),
    ...(level === undefined ? {} : { levels: level }),
    ...(pageBytes === undefined ? {} : { pageBytes }),
    ...(pages === undefined ? {} : { pages }),
    ...(hostPageBytes === undefined ? {} : { hostPageBytes }),
    ...(tableLevels === undefined ? {} : { tableLevels }),
    ...(walkCaches === undefined ? {} : { walkCaches }),
  };
}

/** Settings of the model's constants; the others belong to a generator or workload. */
function splitCosts(settings: readonly string[]): {
  costs: Map<string, string>;
  others: Map<string, string>;
} {
  const costs = new Map<string, string>();
  const others = new Map<string, string>();
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at <= 0) throw new InputError(`--set ${setting}: want key=value`);
    const key = setting.slice(0, at);
    (COST_NAMES.includes(key) ? costs : others).set(key, setting.slice(at + 1));
  }
  return { costs, others };
}

function openSource(
  name: string,
  flags: TlbFlags,
  settings: ReadonlyMap<string, string>,
): { source: AddressSource; format: string } {
  const seed = parseSeed(flags.seed);
  if (!existsSync(name)) {
    const generator = findGenerator(name);
    if (generator !== undefined) {
      return { source: openGenerator(generator, settings, seed), format: 'generated' };
    }
    const workload = findWorkload(name);
    if (workload !== undefined) {
      const reader = openWorkload(workload, workloadValues(workload, settings), seed);
      return { source: new TouchSource(reader), format: 'workload' };
    }
  }
  for (const key of settings.keys()) {
    throw new InputError(`--set ${key}: no such constant; there are ${COST_NAMES.join(', ')}`);
  }
  const path = existsSync(name) ? name : recordingPath(name);
  if (!existsSync(path)) {
    const generators = ADDRESS_GENERATORS.map((generator) => generator.name).join(', ');
    const recordings = recordingNames().join(', ');
    throw new InputError(
      `'${name}' is no file, generator (${generators}), workload or recording (${recordings})`,
    );
  }
  return openAddresses(path, flags.format, flags.instructions === true);
}
