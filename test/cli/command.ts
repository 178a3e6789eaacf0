import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Runs the program as a user does, and looks at what it says and how it ends. */

export const PROGRAM: string = resolve('dist/src/cli/main.js');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function pagelab(
  args: readonly string[],
  nodeFlags: readonly string[] = [],
): Promise<Ended> {
  const child = spawn(process.execPath, [...nodeFlags, PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((done) => child.on('close', (code) => done({ code, stdout, stderr })));
}

/** Asserts wrong usage or input: exit code 2, one line that matches, nothing else. */
export async function assertRefused(args: readonly string[], message: RegExp): Promise<void> {
  const { code, stdout, stderr } = await pagelab(args);
  const what = `pagelab ${args.join(' ')}: ${stderr}`;
  assert.equal(code, 2, what);
  assert.equal(stdout, '', what);
  assert.match(stderr, /^pagelab: [^\n]+\n$/, what);
  assert.match(stderr, message, what);
}

/** A new directory for a test's files. */
export function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'pagelab-test-'));
}

/** Runs tasks two at a time. */
export async function twoAtATime<T>(
  items: readonly T[],
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await task(item);
  };
  await Promise.all([worker(), worker()]);
}
