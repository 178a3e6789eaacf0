import { parentPort } from 'node:worker_threads';
import { Machine, Process, System, X86_64_4LEVEL } from '../../src/engine/index.ts';
import { attachMechanisms, parseKernel } from '../../src/lab/kernels.ts';
import { runSmall, type SerialStart } from './serial-plan.ts';

/** One thread of serial.test.ts: runs its few operations when all threads are ready. */
parentPort?.on('message', (start: SerialStart) => {
  const kernel = parseKernel(start.kernel);
  const m = Machine.attach(start.buffer, start.thread + 1, X86_64_4LEVEL, kernel.rules);
  const process = new Process(new System(m), 1, start.mm);
  attachMechanisms(m, kernel);
  const ready = Atomics.add(start.gate, 0, 1) + 1;
  if (ready === start.threads) Atomics.store(start.gate, 1, 1);
  while (Atomics.load(start.gate, 1) === 0);
  const results: number[] = [];
  for (const op of start.ops) {
    for (let spin = Math.random() * 300; spin > 0; spin--) Atomics.load(start.gate, 0);
    results.push(runSmall(process, start.object, op));
  }
  parentPort?.postMessage(results);
});
