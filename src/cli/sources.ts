import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../base/index.ts';
import type { MachineOptions } from '../engine/index.ts';
import {
  applySettings,
  findWorkload,
  openWorkload,
  parseMachine,
  WORKLOADS,
  workloadValues,
} from '../lab/index.ts';
import type { TraceReader } from '../trace/index.ts';
import { traceOpener } from './files.ts';

/** Where the bundled recordings lie, from dist/src/cli. */
const RECORDINGS_DIR: string = fileURLToPath(new URL('../../../recordings', import.meta.url));
const RECORDING_ENDING = '.pagelab';

/** Something to replay: how to open it anew for each kernel, and the machine it runs on. */
export interface Source {
  readonly name: string;
  readonly machine: MachineOptions;
  /** Made by a workload: nothing can be malformed, and a first pass would cost as much as a run. */
  readonly isGenerated: boolean;
  open(): TraceReader;
}

/** Names of the bundled recordings. */
export function recordingNames(): string[] {
  if (!existsSync(RECORDINGS_DIR)) return [];
  return readdirSync(RECORDINGS_DIR)
    .filter((file) => file.endsWith(RECORDING_ENDING))
    .map((file) => file.slice(0, -RECORDING_ENDING.length))
    .sort();
}

export function recordingPath(name: string): string {
  return join(RECORDINGS_DIR, name + RECORDING_ENDING);
}

/**
 * What the user named: a file, else a bundled recording, else a workload. Settings are the
 * machine's and, for a workload, its parameters.
 */
export function findSource(
  text: string,
  machineName: string | undefined,
  settings: readonly string[],
  seed: number,
): Source {
  const workload = existsSync(text) ? undefined : findWorkload(text);
  const preset = parseMachine(machineName ?? workload?.machine ?? 'default');
  const { machine, rest } = applySettings(preset.options, settings);
  if (workload !== undefined) {
    const values = workloadValues(workload, rest);
    return {
      name: text,
      machine,
      isGenerated: true,
      open: () => openWorkload(workload, values, seed),
    };
  }
  const path = existsSync(text) ? text : recordingPath(text);
  if (!existsSync(path)) throw new InputError(unknownSource(text));
  for (const key of rest.keys()) throw new InputError(`--set ${key}: no such setting of a machine`);
  return { name: basename(text), machine, isGenerated: false, open: traceOpener(path) };
}

function unknownSource(text: string): string {
  const known = [...recordingNames(), ...WORKLOADS.map(({ name }) => name)].join(', ');
  return `'${text}' is no file, recording or workload; bundled are ${known}`;
}
