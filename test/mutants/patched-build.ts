import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The built engine with a known bug put back as a change of its source text, and the tests
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

/** Copies what is built and compiles what is changed anew; the folder, with `src` and `test` as in dist. */
export function buildPatched(patches: readonly Patch[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'pagelab-mutant-'));
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const part of ['base', 'engine', 'trace', 'lab']) {
    cpSync(join(ROOT, 'dist/src', part), join(folder, 'src', part), { recursive: true });
  }
  for (const part of ['engine', 'counts', 'laws', 'mechanisms', 'seed.js']) {
    cpSync(join(ROOT, 'dist/test', part), join(folder, 'test', part), { recursive: true });
  }
  const sources = new Map<string, string>();
  for (const patch of patches) {
    const source = sources.get(patch.file) ?? readFileSync(sourceOf(patch.file), 'utf8');
    sources.set(patch.file, patched(source, patch));
  }
  if (sources.size > 0) compile(folder, sources);
  return folder;
}

function sourceOf(file: string): string {
  return join(ROOT, 'src/engine', file);
}

/** The changed files alone: neither types nor imports are looked at, which takes most of the time. */
function compile(folder: string, sources: ReadonlyMap<string, string>): void {
  for (const [file, source] of sources) {
    const path = join(folder, 'from/src/engine', file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, source);
  }
  const base = JSON.parse(readFileSync(join(ROOT, 'tsconfig.base.json'), 'utf8'));
  const alone = { composite: false, declaration: false, noCheck: true, noResolve: true };
  const config = {
    compilerOptions: { ...base.compilerOptions, ...alone, rootDir: 'from', outDir: '.' },
    include: ['from/src/**/*.ts'],
    exclude: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', folder], { stdio: 'pipe' });
}

function patched(source: string, { file, from, to }: Patch): string {
  const parts = source.split(from);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
  return parts.join(to);
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
