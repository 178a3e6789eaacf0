import { relative } from 'node:path';
import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import { MAIN_KERNELS } from '../../lab/index.ts';
import { terminalTable } from '../../report/index.ts';
import { hasColor, print, printJson, terminalWidth } from '../output.ts';
import { findSource, recordingNames } from '../sources.ts';
import { type RunOutcome, runSource, writeReport } from './run.ts';

const MAIN_RECORDING = 'redis-set-bgsave-flush';
const REPORT_FILE = 'pagelab-report.html';

/** `pagelab` without a command: what the recorded Redis costs, and the other recordings in short. */
export async function mainJob(
  unknown: string | undefined,
  _flags: unknown,
  command: Command,
): Promise<void> {
  if (unknown !== undefined) {
    const known = command.commands.map((c) => c.name()).join(', ');
    throw new InputError(`there is no command '${unknown}'; there are ${known}`);
  }
  const outcome = runBundled(MAIN_RECORDING);
  await writeReport(REPORT_FILE, outcome);
  if (command.opts()['json']) {
    printJson(outcome.document);
    return;
  }
  const look = { color: hasColor(), width: terminalWidth() };
  print(terminalTable(outcome.document, look));
  for (const name of recordingNames().filter((other) => other !== MAIN_RECORDING)) {
    print('');
    print(terminalTable(runBundled(name).document, look));
  }
  print('');
  print(`report: ${relative('.', REPORT_FILE)}`);
  print('more:   pagelab run <your trace> --report FILE.html, pagelab list, pagelab validate');
}

function runBundled(name: string): RunOutcome {
  const hasReport = name === MAIN_RECORDING;
  return runSource(findSource(name, undefined, [], 1), MAIN_KERNELS, 1, { hasReport });
}
