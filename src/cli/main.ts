#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { CapabilityError, InputError } from '../base/index.ts';
import { BufferFullError } from '../engine/index.ts';
import { addBench } from './commands/bench.ts';
import { addDump } from './commands/dump.ts';
import { addFragmentation } from './commands/fragmentation.ts';
import { addImport } from './commands/import.ts';
import { addList } from './commands/list.ts';
import { mainJob } from './commands/main-job.ts';
import { addReproduce } from './commands/reproduce.ts';
import { addRun } from './commands/run.ts';
import { addTlb } from './commands/tlb.ts';
import { addValidate } from './commands/validate.ts';

/** Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input, 3 this machine cannot. */
const EXIT_USAGE = 2;
const EXIT_CAPABILITY = 3;
/** A bug in pagelab itself. */
const EXIT_BUG = 70;

const program = new Command('pagelab')
  .description('What would another memory manager do to your program?')
  .version('0.1.0')
  .configureOutput({
    outputError: (text, write) => write(text.replace(/^error: /, 'pagelab: ')),
  })
  .argument('[command]')
  .usage('[options] [command]')
  .exitOverride()
  .option('--json', 'one JSON document on standard output')
  .action(mainJob);
addRun(program);
addTlb(program);
addList(program);
addImport(program);
addDump(program);
addFragmentation(program);
addValidate(program);
addReproduce(program);
addBench(program);

// A reader that has seen enough (`pagelab dump … | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : EXIT_BUG);
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof InputError || error instanceof BufferFullError) {
    console.error(`pagelab: ${error.message}`);
    return EXIT_USAGE;
  }
  if (error instanceof CapabilityError) {
    console.error(`pagelab: ${error.message}`);
    return EXIT_CAPABILITY;
  }
  const bug = error instanceof Error ? error : new Error(String(error));
  const isDebugging = (process.env['PAGELAB_DEBUG'] ?? '') !== '';
  console.error(`pagelab: a bug in pagelab: ${isDebugging ? bug.stack : bug.message}`);
  if (!isDebugging) console.error('pagelab: PAGELAB_DEBUG=1 shows where; please report it');
  return EXIT_BUG;
}
