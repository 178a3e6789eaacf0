import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The engine compiled anew with a known bug put back as a change of its source text, and the tests
 * that should notice. A change whose text is not there exactly once is an error: the source moved on.
 * The bugs of page tables are switches in the source instead (test/stress): they need its pauses.
 */
const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));

export interface Patch {
  /** Below src/engine. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Copies, changes and compiles; the folder, with `src` and `test` as in dist. */
export function buildPatched(patches: readonly Patch[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'pagelab-mutant-'));
  for (const part of ['base', 'engine']) {
    cpSync(join(ROOT, 'src', part), join(folder, 'from/src', part), { recursive: true });
  }
  for (const patch of patches) apply(join(folder, 'from/src/engine', patch.file), patch);
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(configOf()));
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', folder], { stdio: 'pipe' });
  // What stands above the engine is as it was built.
  for (const part of ['trace', 'lab']) {
    cpSync(join(ROOT, 'dist/src', part), join(folder, 'src', part), { recursive: true });
  }
  for (const part of ['engine', 'counts', 'laws', 'mechanisms', 'seed.js']) {
    cpSync(join(ROOT, 'dist/test', part), join(folder, 'test', part), { recursive: true });
  }
  return folder;
}

function configOf(): object {
  const base = JSON.parse(readFileSync(join(ROOT, 'tsconfig.base.json'), 'utf8'));
  const options = { composite: false, declaration: false, rootDir: 'from', outDir: '.' };
  const unchecked = { noUnusedLocals: false, noUnusedParameters: false };
  return {
    compilerOptions: { ...base.compilerOptions, ...unchecked, ...options },
    include: ['from/src/**/*.ts'],
    exclude: ['**/tsconfig.json'],
  };
}

function apply(path: string, { file, from, to }: Patch): void {
  const source = readFileSync(path, 'utf8');
  const parts = source.split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
  writeFileSync(path, parts.join(to));
}

/** A test that runs longer does not end: the bug made a loop. */
const HANG_MS = 15_000;

export interface TestRun {
  /** Below test, without ending. */
  readonly file: string;
  /** Names of tests, as a regular expression. */
  readonly only?: string;
}

/** Runs the test with the seed; what went wrong in one line, or null. */
export function firstFailure(folder: string, run: TestRun, seed: number): string | null {
  const file = join(folder, 'test', `${run.file}.js`);
  const only = run.only === undefined ? [] : [`--test-name-pattern=${run.only}`];
  const env: NodeJS.ProcessEnv = { ...process.env, PAGELAB_SEED: String(seed) };
  // Else the child would report to the runner of this test.
  delete env['NODE_TEST_CONTEXT'];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...only, file], {
    env,
    encoding: 'utf8',
    timeout: HANG_MS,
    killSignal: 'SIGKILL',
  });
  if (status === 0) {
    if (!/^# pass [1-9]/m.test(stdout)) throw new Error(`${run.file}: no test ran\n${stderr}`);
    return null;
  }
  if (signal !== null) return 'does not end';
  return (
    /^ *error: (?:\|-\s*)?(.*)$/m.exec(stdout)?.[1] ??
    stderr.split('\n')[0] ??
    `exit code ${status}`
  );
}

export function removeBuild(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
