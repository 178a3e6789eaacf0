import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import {
  compare,
  customProfile,
  EngineSubject,
  LAYOUT_NAMES,
  OperationGenerator,
  PROFILES,
  parseKernel,
} from '../../src/lab/index.ts';
import type { TraceEvent } from '../../src/trace/index.ts';
import { CASES, NO_SWAP_CASES } from './cases.ts';
import { HUGE_CASES } from './huge-cases.ts';
import { Model } from './model.ts';
import { checkCase } from './script.ts';

const kernel = parseKernel('linux-6.18');

for (const oracleCase of [...CASES, ...NO_SWAP_CASES]) {
  test(`engine, rule ${oracleCase.rule}: ${oracleCase.script}`, () => {
    assert.deepEqual(checkCase(oracleCase, new EngineSubject(kernel)), []);
  });
}

for (const oracleCase of HUGE_CASES) {
  test(`engine with huge pages, rule ${oracleCase.rule}: ${oracleCase.script}`, () => {
    const engine = new EngineSubject(kernel, { enabled: 'madvise' });
    assert.deepEqual(checkCase(oracleCase, engine), []);
  });
}

// Where the kernel chooses the address the model has none to offer, and of a grandchild's anon_vmas it
// knows too little (docs/validate.md): both are left out here, and compared with the kernel itself.
const profile = customProfile(
  [...PROFILES.full.features].filter((f) => f !== 'inplace' && f !== 'dontunmap'),
  2,
);
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));

for (const layout of LAYOUT_NAMES) {
  test(`the engine and the reference model agree after every operation: ${layout}`, (t) => {
    t.diagnostic(`PAGELAB_SEED=${seed}`);
    const generator = new OperationGenerator({
      layout,
      profile,
      random: new Random(seed),
    });
    function* drawn(): Iterable<TraceEvent> {
      for (let i = 0; i < 800; i++) yield generator.next();
    }
    const result = compare(drawn(), new Model(), new EngineSubject(kernel), generator.windows, {
      onAnswer: (event, answer) => generator.onAnswer(event, answer),
    });
    assert.equal(result.mismatch, null, `PAGELAB_SEED=${seed}`);
  });
}
