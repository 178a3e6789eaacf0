import { InputError } from '../../base/index.ts';
import { wholeNumber } from '../setting-values.ts';
import { cloudstone } from './cloudstone.ts';
import { competing } from './competing.ts';
import { fragNormal, fragSevere, sparseAccess } from './fragmenters.ts';
import { identicalVms } from './identical-vms.ts';
import { mongodbBloat } from './mongodb-bloat.ts';
import { overcommit } from './overcommit.ts';
import { realCase } from './real-case.ts';
import { redisBloat } from './redis-bloat.ts';
import { sga } from './sga.ts';
import { sharedPool } from './shared-pool.ts';
import { skewed } from './skewed.ts';
import { snapshot } from './snapshot.ts';
import { sparseLoop, sparsePieces, sparseWhole } from './sparse.ts';
import { type Workload, WorkloadReader } from './workload.ts';

export type { Workload, WorkloadParameter } from './workload.ts';
export { WorkloadReader } from './workload.ts';

export const WORKLOADS: readonly Workload[] = [
  sparsePieces,
  sparseWhole,
  sparseLoop,
  realCase,
  sharedPool,
  sga,
  skewed,
  overcommit,
  redisBloat,
  mongodbBloat,
  cloudstone,
  fragNormal,
  fragSevere,
  sparseAccess,
  competing,
  identicalVms,
  snapshot,
];

/** A workload by name, or undefined. */
export function findWorkload(name: string): Workload | undefined {
  return WORKLOADS.find((workload) => workload.name === name);
}

/** The values of a workload's parameters. Throws InputError for one that it does not have. */
export function workloadValues(
  workload: Workload,
  settings: ReadonlyMap<string, string>,
): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [key, parameter] of Object.entries(workload.parameters)) values[key] = parameter.value;
  for (const [key, text] of settings) {
    const parameter = workload.parameters[key];
    if (parameter === undefined) {
      const known = Object.keys(workload.parameters).join(', ') || 'none';
      throw new InputError(`--set ${key}: ${workload.name} has no such parameter; it has ${known}`);
    }
    values[key] = wholeNumber(key, text, parameter.least);
  }
  return values;
}

/** A fresh reader of the workload's events. */
export function openWorkload(
  workload: Workload,
  values: Readonly<Record<string, number>>,
  seed: number,
): WorkloadReader {
  return new WorkloadReader(workload, values, seed);
}
