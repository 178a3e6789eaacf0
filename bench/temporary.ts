import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Folders that live as long as a measurement. They go when whoever made them says so, at the end of
 * the process, and when a signal ends it: the process then dies of that signal, as it would have.
 */
const folders = new Set<string>();
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A new folder in the system's place for temporary files. */
export function makeTemporary(prefix: string): string {
  if (folders.size === 0) listen();
  const folder = mkdtempSync(join(tmpdir(), prefix));
  folders.add(folder);
  return folder;
}

export function removeTemporary(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
  if (folders.size === 0) stopListening();
}

function listen(): void {
  for (const signal of SIGNALS) process.on(signal, dieOf);
  process.on('exit', removeAll);
}

function stopListening(): void {
  for (const signal of SIGNALS) process.off(signal, dieOf);
  process.off('exit', removeAll);
}

function removeAll(): void {
  for (const folder of [...folders]) removeTemporary(folder);
}

function dieOf(signal: NodeJS.Signals): void {
  removeAll();
  process.kill(process.pid, signal);
}
