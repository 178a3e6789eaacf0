import { existsSync, readFileSync } from 'node:fs';
import { stderr } from 'node:process';
import type { Command } from 'commander';
import { FIGURES, type FigureContext, findFigures, reproduce } from '../../lab/index.ts';
import { reproducedMarkdown, reproducedText } from '../../report/index.ts';
import { traceOpener, writeFileAtomically } from '../files.ts';
import { hostText } from '../host-text.ts';
import { hasColor, print, printJson } from '../output.ts';
import { recordingPath } from '../sources.ts';

interface ReproduceFlags {
  markdown?: string;
  json?: boolean;
}

/** Exit code if a figure differs. */
const EXIT_DIFFERS = 1;

export function addReproduce(program: Command): void {
  program
    .command('reproduce')
    .description('the published figures, ours beside them, and whether they agree')
    .argument('[id...]', 'figures (pte-ref.limits) or systems (pte-ref); default: all')
    .option('--markdown <file>', 'also write them into a page such as docs/figures.md')
    .option('--json', 'one JSON document on standard output')
    .action(async (ids: string[], _flags: unknown, command: Command) => {
      await runReproduce(ids, command.optsWithGlobals<ReproduceFlags>());
    });
}

async function runReproduce(ids: readonly string[], flags: ReproduceFlags): Promise<void> {
  const document = await reproduce(findFigures(ids), contextOfThisMachine(), hostText());
  const { markdown } = flags;
  if (markdown !== undefined) {
    const before = existsSync(markdown) ? readFileSync(markdown, 'utf8') : '';
    const order = FIGURES.map(({ id }) => id);
    const bytes = new TextEncoder().encode(reproducedMarkdown(document, before, order));
    writeFileAtomically(markdown, (sink) => sink(bytes));
  }
  if (flags.json === true) printJson(document);
  else print(reproducedText(document, hasColor()));
  if (markdown !== undefined && flags.json !== true) print(`written: ${markdown}`);
  if (document.rows.some(({ verdict }) => verdict === 'differs')) process.exitCode = EXIT_DIFFERS;
}

function contextOfThisMachine(): FigureContext {
  return {
    nowMs: () => performance.now(),
    onProgress: (text) => {
      if (stderr.isTTY) stderr.write(`${text}\n`);
    },
    openRecording: (name) => traceOpener(recordingPath(name))(),
    measureMultiFault: async () => {
      // Loaded only here: it brings threads and the running kernel with it.
      const { measureMultiFault } = await import('../../../bench/multi-fault.ts');
      return measureMultiFault();
    },
    measureLLFree: async () => {
      const { measureLLFree } = await import('../../../bench/llfree.ts');
      return measureLLFree();
    },
  };
}
