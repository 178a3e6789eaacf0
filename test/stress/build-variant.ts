import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * The engine compiled anew with other values of the switches in
 * src/engine/threads/test-switches.ts: race points on, and a known bug put back or none. In dist the
 * build has put the switches' values in place already.
 */
const ROOT: string = fileURLToPath(new URL('../../../', import.meta.url));
const SWITCHES = 'src/engine/threads/test-switches.ts';

/** The folder (with `src` and `test` as in dist), and the stress thread's program in it. */
export interface Variant {
  readonly folder: string;
  readonly workerUrl: URL;
}

export function buildVariant(mutant: number): Variant {
  const folder = mkdtempSync(join(tmpdir(), 'pagelab-variant-'));
  for (const part of ['base', 'engine']) {
    cpSync(join(ROOT, 'src', part), join(folder, 'from/src', part), { recursive: true });
  }
  const switches = join(folder, 'from', SWITCHES);
  writeFileSync(switches, withValues(readFileSync(switches, 'utf8'), mutant));
  const base = JSON.parse(readFileSync(join(ROOT, 'tsconfig.base.json'), 'utf8'));
  const unchecked = { noUnusedLocals: false, noUnusedParameters: false };
  const options = {
    ...unchecked,
    composite: false,
    declaration: false,
    rootDir: 'from',
    outDir: '.',
  };
  const config = {
    compilerOptions: { ...base.compilerOptions, ...options },
    include: ['from/src/**/*.ts'],
    exclude: ['**/tsconfig.json'],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', folder], { stdio: 'pipe' });
  for (const part of ['src/lab', 'test/stress']) {
    cpSync(join(ROOT, 'dist', part), join(folder, part), { recursive: true });
  }
  return { folder, workerUrl: pathToFileURL(join(folder, 'test/stress/stress.worker.js')) };
}

function withValues(source: string, mutant: number): string {
  const text = source
    .replace('HAS_RACE_POINTS: boolean = false', 'HAS_RACE_POINTS: boolean = true')
    .replace('MUTANT: number = 0', `MUTANT: number = ${mutant}`);
  if (!text.includes(`MUTANT: number = ${mutant}`)) throw new Error('the switch is not there');
  return text;
}
