import { type TestContext, test } from 'node:test';
import type { Geometry } from '../../src/engine/geometry.ts';
import {
  type MachineOptions,
  mshareCounters,
  pteRef,
  type System,
} from '../../src/engine/index.ts';
import { seedOf } from '../seed.ts';
import { MshareProgram } from './mshare-program.ts';
import { SMALL } from './sharing-run.ts';

/** mshare shows every sharer what a model without page tables says, and leaves nothing behind. */
interface Plan {
  readonly name: string;
  readonly options: MachineOptions;
  readonly attach?: (system: System) => void;
}

const MIB = 2 ** 20;
/** A level above that of the links, as where P4D and PGD are two. */
const FIVE_LEVELS: Geometry = { ...SMALL, name: 'test, 5 levels of 8', levels: 5 };
const PLANS: readonly Plan[] = [
  { name: 'much memory', options: {} },
  { name: 'five levels', options: { geometry: FIVE_LEVELS } },
  {
    name: 'memory is short',
    options: { nodeBytes: [8 * MIB], swapBytes: 64 * MIB },
  },
  {
    name: 'tables go with their last entry',
    options: {},
    attach: ({ machine }) => pteRef.attach(machine),
  },
];

const programs = Number(process.env['PAGELAB_MSHARE_PROGRAMS'] ?? 12);
const steps = Number(process.env['PAGELAB_MSHARE_STEPS'] ?? 400);

for (const { name, options, attach } of PLANS) {
  test(`mshare against a model that copies: ${name}`, (t: TestContext) => {
    const seed = seedOf(t);
    const work = { linkFaults: 0, detaches: 0, flushes: 0, hostFaults: 0 };
    for (let i = 0; i < programs; i++) {
      const program = new MshareProgram(seed + i, options, attach);
      let step = 0;
      try {
        // In every other program tables fill up only by what the program itself touches.
        for (; step < steps; step++) {
          program.step();
          if (step % 8 === 0) program.check(i % 2 === 0 && step % 32 === 0);
        }
        program.finish();
      } catch (error) {
        t.diagnostic(`program ${seed + i}, step ${step}`);
        throw error;
      }
      const counted = mshareCounters(program.run.system.machine);
      for (const key of Object.keys(work) as (keyof typeof work)[]) work[key] += counted[key] ?? 0;
    }
    t.diagnostic(JSON.stringify(work));
  });
}
