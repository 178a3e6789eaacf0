import { readFileSync } from 'node:fs';
import { CapabilityError } from '../base/index.ts';

/**
 * The text of /proc/buddyinfo (free blocks of each order) or /proc/zoneinfo (watermarks). Throws
 * CapabilityError where it cannot be read.
 */
export function readMemoryFile(name: 'buddyinfo' | 'zoneinfo'): string {
  const path = `/proc/${name}`;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CapabilityError(
      `${path} cannot be read (${code ?? error}): name a captured file, pagelab fragmentation FILE`,
    );
  }
}
