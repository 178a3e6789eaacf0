import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelSubject } from '../../src/host/index.ts';
import { CASES, NO_SWAP_CASES } from '../oracle/cases.ts';
import { checkCase } from '../oracle/script.ts';
import { hasSwap, skipReason } from './needs-kernel.ts';

const skip = skipReason();

for (const oracleCase of hasSwap() ? CASES : [...CASES, ...NO_SWAP_CASES]) {
  test(`kernel, rule ${oracleCase.rule}: ${oracleCase.script}`, { skip }, () => {
    const kernel = new KernelSubject();
    try {
      assert.deepEqual(checkCase(oracleCase, kernel), []);
    } finally {
      kernel.close();
    }
  });
}
