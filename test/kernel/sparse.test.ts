import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelSubject } from '../../src/host/index.ts';
import { findWorkload, openWorkload, parseKernel, replay } from '../../src/lab/index.ts';
import { Op, type TraceEvent } from '../../src/trace/index.ts';
import { skipReason } from './needs-kernel.ts';

/**
 * ByteDance's functional test at its published size: VmPTE after 50 GB were touched sparsely and
 * given back, in KiB over an empty process. The program itself adds 36.
 */
const skip = skipReason();
const TOUCHED_KIB = 102604;
const UPPER_KIB = 204;
const PROGRAM_KIB = 36;
const REGION = { startAddr: 0x7f0000000000, endAddr: 0x7f8000000000 };

/** The workload's events beyond the program's own start. */
function* eventsOf(name: string): Iterable<TraceEvent> {
  const reader = openWorkload(findWorkload(name)!, { gib: 50 }, 1);
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (event.op !== Op.mark && event.addr >= REGION.startAddr && event.addr < REGION.endAddr) {
      yield event;
    }
  }
}

function onKernel(name: string): number[] {
  const kernel = new KernelSubject();
  try {
    const seen: number[] = [];
    for (const event of eventsOf(name)) {
      assert.equal(kernel.apply(event).ok, true);
      if (event.op === Op.touch) seen.push(kernel.observe(1, [REGION]).vmPteKiB);
    }
    return [...seen, kernel.observe(1, [REGION]).vmPteKiB];
  } finally {
    kernel.close();
  }
}

function onEngine(name: string, kernel: string): number[] {
  const result = replay(openWorkload(findWorkload(name)!, { gib: 50 }, 1), parseKernel(kernel));
  return [result.peak.vmPteKiB, result.final.vmPteKiB];
}

test('50 GB given back in 4 kB pieces: the running kernel keeps all tables', { skip }, () => {
  assert.deepEqual(onKernel('sparse-pieces'), [TOUCHED_KIB, TOUCHED_KIB]);
});

test('50 GB given back in one call: the running kernel keeps the upper tables', { skip }, () => {
  assert.deepEqual(onKernel('sparse-whole'), [TOUCHED_KIB, UPPER_KIB]);
});

const touched = TOUCHED_KIB + PROGRAM_KIB;
const upper = UPPER_KIB + PROGRAM_KIB;
const EXPECTED = [
  ['sparse-pieces', 'linux-6.1', touched],
  ['sparse-pieces', 'linux-6.18', touched],
  ['sparse-pieces', 'linux-6.1+pte-ref', upper],
  ['sparse-pieces', 'linux-6.18+pte-ref', upper],
  ['sparse-whole', 'linux-6.1', touched],
  ['sparse-whole', 'linux-6.18', upper],
  ['sparse-whole', 'linux-6.1+pte-ref', upper],
] as const;

for (const [workload, kernel, left] of EXPECTED) {
  test(`${workload} under ${kernel}: ${touched} kB, then ${left} kB`, () => {
    assert.deepEqual(onEngine(workload, kernel), [touched, left]);
  });
}
