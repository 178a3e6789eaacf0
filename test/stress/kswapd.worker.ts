import { parentPort, workerData } from 'node:worker_threads';
import { kswapdStep, Machine, System, X86_64_4LEVEL } from '../../src/engine/index.ts';
import { attachMechanisms, parseKernel } from '../../src/lab/kernels.ts';

/** The background thread of a stress run: looks at the watermarks every millisecond. */
export interface KswapdStart {
  readonly buffer: SharedArrayBuffer;
  readonly cpu: number;
  readonly kernel: string;
  /** Set to 1 when the others are done. */
  readonly end: Int32Array;
}

const start = workerData as KswapdStart;
const kernel = parseKernel(start.kernel);
const { machine } = new System(
  Machine.attach(start.buffer, start.cpu, X86_64_4LEVEL, kernel.rules),
);
attachMechanisms(machine, kernel);
let freed = 0;
while (Atomics.load(start.end, 0) === 0) {
  freed += kswapdStep(machine);
  Atomics.wait(start.end, 0, 0, 1);
}
parentPort?.postMessage(freed);
