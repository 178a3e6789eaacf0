import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CASES, NO_SWAP_CASES } from './cases.ts';
import { HUGE_CASES } from './huge-cases.ts';
import { Model } from './model.ts';
import { checkCase } from './script.ts';

for (const oracleCase of [...CASES, ...NO_SWAP_CASES]) {
  test(`model, rule ${oracleCase.rule}: ${oracleCase.script}`, () => {
    assert.deepEqual(checkCase(oracleCase, new Model()), []);
  });
}

for (const oracleCase of HUGE_CASES) {
  test(`model with huge pages, rule ${oracleCase.rule}: ${oracleCase.script}`, () => {
    assert.deepEqual(checkCase(oracleCase, new Model({ hasHugePages: true })), []);
  });
}
