/**
 * Lets another thread have the processor while a word keeps its value, for a twentieth of a
 * millisecond at most. Where a thread may not sleep (a page's main thread) it goes on at once.
 */
export function pause(words: Int32Array, at: number, value: number): void {
  if (maySleep) maySleep = trySleep(words, at, value);
}

const PAUSE_MS = 0.05;
let maySleep = true;

function trySleep(words: Int32Array, at: number, value: number): boolean {
  try {
    Atomics.wait(words, at, value, PAUSE_MS);
    return true;
  } catch {
    return false;
  }
}
