import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import {
  HAWKEYE_DEFAULTS,
  type HugePageSettings,
  hawkeyeWith,
  KSM_HUGE_MODES,
  type Machine,
  reservations,
  validateMachine,
} from '../../src/engine/index.ts';
import { seedOf } from '../seed.ts';
import { KsmPrograms } from './ksm-model.ts';

/** Other ways to manage huge pages together with samepage merging: programs notice neither. */

const MIB = 2 ** 20;
const QUICK = { ...HAWKEYE_DEFAULTS, scanMs: 2000, recoverMs: 1000, recoverBelowPercent: 60 };

const WAYS: readonly [string, Partial<HugePageSettings>, (m: Machine) => void][] = [
  ['reservations', { enabled: 'always' }, (m) => reservations.attach(m)],
  ['hawkeye', { enabled: 'always' }, (m) => hawkeyeWith(QUICK).attach(m)],
  ['64 and 256 kB', { enabled: 'never', sizes: { '64kB': 'always', '256kB': 'always' } }, () => {}],
];

for (const [name, huge, attach] of WAYS) {
  test(`programs notice neither merging nor ${name}`, (t) => {
    const seed = seedOf(t);
    const random = new Random(seed);
    for (let round = 0; round < 3; round++) {
      const hugePages = random.pick(KSM_HUGE_MODES);
      const ksm = { hugePages, maxPageSharing: 20, usesZeroPages: random.chance(0.5) };
      const memory = { nodeBytes: [48 * MIB], swapBytes: 64 * MIB, bufferMiB: 64 };
      const programs = new KsmPrograms({ ksm, huge, ...memory }, random);
      const { machine } = programs.system;
      attach(machine);
      for (let i = 0; i < 200; i++) {
        programs.step();
        machine.events.returnToUser?.(machine, 0, i * 0.5e9);
        if (i % 10 === 9) validateMachine(machine);
        if (i % 50 !== 49) continue;
        assert.equal(programs.difference(), null);
        validateMachine(machine);
      }
    }
  });
}
