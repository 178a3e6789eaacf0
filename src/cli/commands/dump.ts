import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import { formatEvent } from '../../trace/index.ts';
import { openTraceFile } from '../files.ts';
import { print } from '../output.ts';

export function addDump(program: Command): void {
  program
    .command('dump')
    .description('a trace of either form as text')
    .argument('<file>', 'a trace')
    .option('-n, --events <count>', 'only the first events')
    .action((file: string, flags: { events?: string }) => {
      const limit = parseCount(flags.events);
      const reader = openTraceFile(file);
      print(JSON.stringify(reader.header));
      for (let count = 0; count < limit; count++) {
        const event = reader.next();
        if (event === null) return;
        print(formatEvent(event));
      }
    });
}

function parseCount(text: string | undefined): number {
  if (text === undefined) return Infinity;
  if (!/^\d+$/.test(text)) throw new InputError(`--events ${text}: want a whole number`);
  return Number(text);
}
