import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

/** Makes a folder, says where, and waits for ever. */
const PROGRAM = `
  import { makeTemporary } from ${JSON.stringify(new URL('../../bench/temporary.js', import.meta.url).href)};
  console.log(makeTemporary('pagelab-temporary-'));
  setInterval(() => {}, 1000);
`;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`a temporary folder goes when ${signal} ends the process, which dies of it`, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    const folder = String(line).trim();
    assert.ok(existsSync(folder), folder);
    child.kill(signal);
    assert.deepEqual(await once(child, 'exit'), [null, signal]);
    assert.ok(!existsSync(folder), folder);
  });
}

test('a temporary folder goes when the process ends by itself or is told to', async () => {
  for (const end of ['process.exit(0)', 'removeTemporary(folder)']) {
    const program = `
      import { makeTemporary, removeTemporary } from ${JSON.stringify(new URL('../../bench/temporary.js', import.meta.url).href)};
      const folder = makeTemporary('pagelab-temporary-');
      console.log(folder);
      ${end};
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const [line] = await once(child.stdout, 'data');
    assert.deepEqual(await exited, [0, null]);
    assert.ok(!existsSync(String(line).trim()));
  }
});
