import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelSubject, whyNoHugePages } from '../../src/host/index.ts';
import { CASES, NO_SWAP_CASES } from '../oracle/cases.ts';
import { HUGE_CASES } from '../oracle/huge-cases.ts';
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

const skipHuge = skip || (whyNoHugePages() ?? false);

for (const oracleCase of HUGE_CASES) {
  const name = `kernel with huge pages, rule ${oracleCase.rule}: ${oracleCase.script}`;
  test(name, { skip: skipHuge }, () => {
    const kernel = new KernelSubject({ hasHugePages: true });
    try {
      assert.deepEqual(checkCase(oracleCase, kernel), []);
    } finally {
      kernel.close();
    }
  });
}
