import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import { readMemoryFile } from '../../host/index.ts';
import { fragmentationOf, parseBuddyinfo, parseZoneinfo } from '../../lab/index.ts';
import { fragmentationText } from '../../report/index.ts';
import { readText } from '../files.ts';
import { print, printJson } from '../output.ts';

interface FragmentationFlags {
  order?: string;
  zoneinfo?: string;
  json?: boolean;
}

export function addFragmentation(program: Command): void {
  program
    .command('fragmentation')
    .description("how broken up free memory is, by the kernel's measures and Ingens' FMFI")
    .argument('[file]', 'a captured /proc/buddyinfo; default: the live one')
    .option(
      '--zoneinfo <file>',
      'the /proc/zoneinfo captured with it: whether compaction would run',
    )
    .option('--order <order>', 'the order that compaction is asked about', '9')
    .option('--json', 'one JSON document on standard output')
    .action((file: string | undefined, _flags: FragmentationFlags, command: Command) => {
      fragmentation(file, command.optsWithGlobals());
    });
}

function fragmentation(file: string | undefined, flags: FragmentationFlags): void {
  const source = file ?? '/proc/buddyinfo';
  const zones = parseBuddyinfo(
    file === undefined ? readMemoryFile('buddyinfo') : readText(file),
    source,
  );
  const order = parseOrder(flags.order ?? '9', (zones[0]?.blocks.length ?? 1) - 1);
  const { zoneinfo } = flags;
  let marks = '';
  if (zoneinfo !== undefined) marks = readText(zoneinfo);
  else if (file === undefined) marks = readMemoryFile('zoneinfo');
  const parsed = marks === '' ? [] : parseZoneinfo(marks, zoneinfo ?? '/proc/zoneinfo');
  const document = {
    pagelab: 1 as const,
    source,
    order,
    zones: fragmentationOf(zones, parsed, order),
  };
  if (flags.json) printJson(document);
  else print(fragmentationText(document));
}

function parseOrder(text: string, highest: number): number {
  if (/^\d+$/.test(text) && Number(text) <= highest) return Number(text);
  throw new InputError(`--order ${text}: want a whole number from 0 to ${highest}`);
}
