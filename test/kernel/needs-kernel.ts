import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { whyNoPuppet } from '../../src/host/index.ts';

/** The rules are those of this version and later ones. */
const MAJOR = 6;
const MINOR = 18;

/** Why the running kernel cannot be compared with, or false when it can. */
export function skipReason(): string | false {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (process.platform !== 'linux') return 'needs Linux';
  if (major < MAJOR || (major === MAJOR && minor < MINOR)) {
    return `the rules are those of Linux ${MAJOR}.${MINOR}; this is ${release()}`;
  }
  if (process.geteuid?.() !== 0)
    return 'needs root: mlock and RLIMIT_MEMLOCK would answer otherwise';
  return whyNoPuppet() ?? false;
}

export function hasSwap(): boolean {
  if (process.platform !== 'linux') return false;
  return readFileSync('/proc/swaps', 'utf8').trim().split('\n').length > 1;
}
