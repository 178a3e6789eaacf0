import type { MachineOptions } from '../../engine/index.ts';
import { parseKernel } from '../kernels.ts';
import { parseMachine } from '../machines.ts';
import { replay } from '../replay/replay.ts';
import type { RunResult } from '../replay/result.ts';
import type { TimeOptions } from '../time/timekeeper.ts';
import { findWorkload, openWorkload, workloadValues } from '../workloads/index.ts';
import type { FigureContext } from './figure.ts';

/** Runs a workload on the machine that it needs, or one changed by `machine`. `settings` as for --set. */
export function runWorkload(
  context: FigureContext,
  name: string,
  kernelName: string,
  settings: Readonly<Record<string, number>> = {},
  machine: Readonly<MachineOptions> = {},
  time?: TimeOptions,
): RunResult {
  const workload = findWorkload(name);
  if (workload === undefined) throw new Error(`no workload ${name}`);
  context.onProgress(`${name} under ${kernelName}`);
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  const values = workloadValues(workload, texts);
  return replay(openWorkload(workload, values, 1), parseKernel(kernelName), {
    machine: { ...parseMachine(workload.machine ?? 'default').options, ...machine },
    seed: 1,
    ...(time === undefined ? {} : { time }),
  });
}
