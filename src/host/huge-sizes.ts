import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const THP_DIRECTORY = '/sys/kernel/mm/transparent_hugepage';

/** hugepages-NNkB/enabled by size, as in `{ '64kB': 'madvise' }`. */
export type HugeSizeWords = Readonly<Record<string, string>>;

/** Why sizes below 2 MiB cannot be set on this machine; null when they can. */
export function whyNoHugeSizes(sizes: HugeSizeWords): string | null {
  for (const size of Object.keys(sizes)) {
    const path = pathOf(size);
    if (!existsSync(path)) return `this kernel has no ${path}`;
    try {
      writeFileSync(path, wordOf(size));
    } catch {
      return `${path} cannot be written (root is needed)`;
    }
  }
  return null;
}

/**
 * Sets sizes for the whole machine; what is given back sets them as they were before, and must be
 * called in any case. It also is when the process ends.
 */
export function setHugeSizes(sizes: HugeSizeWords): () => void {
  const before = Object.keys(sizes).map((size) => [size, wordOf(size)] as const);
  const restore = (): void => {
    for (const [size, word] of before) writeFileSync(pathOf(size), word);
    process.off('exit', restore);
  };
  process.on('exit', restore);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  for (const [size, word] of Object.entries(sizes)) writeFileSync(pathOf(size), word);
  return restore;
}

function pathOf(size: string): string {
  return `${THP_DIRECTORY}/hugepages-${size}/enabled`;
}

/** The word in brackets. */
function wordOf(size: string): string {
  return /\[(\w+)\]/.exec(readFileSync(pathOf(size), 'utf8'))?.[1] ?? 'never';
}
