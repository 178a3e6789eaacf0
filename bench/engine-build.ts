import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { makeTemporary, removeTemporary } from './temporary.ts';

/** dist, from dist/bench. */
const DIST = fileURLToPath(new URL('..', import.meta.url));
/** What a thread of `multi-fault` imports. */
const COPIED = ['src/base', 'src/engine', 'bench/multi-fault-worker.js', 'bench/thread-clock.js'];
/** Ends each line that keeps the count of a dense table (tables/table.ts). */
const MARK = /^.*;\s*\/\/ the count$/gm;
/** Where such lines must be: the fault paths, and the zap. */
const MARKED_FILES = [
  'fault/fault.js',
  'fault/handle-fault.js',
  'fault/shared-fault.js',
  'tables/zap.js',
];

/**
 * A copy of the compiled engine in a temporary folder: as it is, or without the lines that keep the
 * count. Both sides of a comparison are copies, so that nothing but those lines tells them apart.
 * Without them only dense tables that never lose their last entry work, which is what `multi-fault`
 * has.
 */
export class EngineBuild {
  readonly #dir: string;

  constructor(hasCount: boolean) {
    this.#dir = makeTemporary('pagelab-engine-');
    try {
      for (const path of COPIED) {
        cpSync(join(DIST, path), join(this.#dir, path), { recursive: true, filter: isCode });
      }
      writeFileSync(join(this.#dir, 'package.json'), '{"type":"module"}\n');
      if (!hasCount) this.#takeOut();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  get workerUrl(): URL {
    return pathToFileURL(join(this.#dir, 'bench/multi-fault-worker.js'));
  }

  #takeOut(): void {
    const engine = join(this.#dir, 'src/engine');
    const changed: string[] = [];
    for (const name of readdirSync(engine, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.js')) continue;
      const path = join(engine, name);
      const source = readFileSync(path, 'utf8');
      const without = source.replace(MARK, '');
      if (without === source) continue;
      changed.push(name);
      writeFileSync(path, without);
    }
    const missing = MARKED_FILES.filter((name) => !changed.includes(name));
    if (missing.length > 0) throw new Error(`no line of the count in ${missing.join(', ')}`);
  }

  remove(): void {
    removeTemporary(this.#dir);
  }
}

/** Folders and modules; no types, no source maps, no build information. */
function isCode(path: string): boolean {
  return !/\.(ts|map|tsbuildinfo)$/.test(path);
}
