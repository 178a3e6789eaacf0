import { InputError, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { addressFromHex } from '../address.ts';

/** One line of /proc/PID/maps (proc_pid_maps(5)). */
export interface MapsLine {
  start: number;
  end: number;
  prot: number;
  isShared: boolean;
  off: number;
  /** 0 for anonymous memory and the kernel's special mappings. */
  inode: number;
  /** Path as in the file, without ` (deleted)`; `[heap]` and the like; '' for anonymous memory. */
  name: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) ([r-][w-][x-][ps]) ([0-9a-f]+) \S+ (\d+)\s*(.*)$/;

/** Parses the text of /proc/PID/maps; `name` is for messages. */
export function parseMaps(text: string, name: string): MapsLine[] {
  const lines: MapsLine[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const match = LINE.exec(line);
    if (match === null) {
      throw new InputError(
        `${name}:${index + 1}: not a line of /proc/PID/maps; it must look like 7f00-7f01 r--p 00000000 fe:00 12 libc.so`,
      );
    }
    const [, start, end, letters, off, inode, path] = match as unknown as string[];
    lines.push({
      start: addressFromHex(start as string),
      end: addressFromHex(end as string),
      prot: protOfLetters(letters as string),
      isShared: letters?.[3] === 's',
      off: Number.parseInt(off as string, 16),
      inode: Number(inode),
      name: (path as string).replace(/ \(deleted\)$/, ''),
    });
  }
  return lines;
}

function protOfLetters(letters: string): number {
  return (
    (letters[0] === 'r' ? PROT_READ : 0) |
    (letters[1] === 'w' ? PROT_WRITE : 0) |
    (letters[2] === 'x' ? PROT_EXEC : 0)
  );
}
