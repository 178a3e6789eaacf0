import type { TraceEvent } from '../event.ts';
import type { MapsLine } from './maps-file.ts';

interface Segment {
  len: number;
  prot: number;
  flags: number;
  off: number;
}

/** What one open of a file descriptor mapped, as far as calls show it: opens themselves are not seen. */
export interface OpenFile {
  readonly fd: number;
  name: string;
  readonly segments: Segment[];
  readonly events: TraceEvent[];
}

/**
 * Gives names to files that a recording knows by descriptor only. A mapping over an earlier one of
 * the same descriptor belongs to the same open (this is how ld.so maps a library); any other is
 * taken for a new open. Names come from /proc/PID/maps where the mapping is still there; opens that
 * mapped the very same pieces are taken for the same file.
 */
export class FileNames {
  readonly #opens: OpenFile[] = [];

  open(fd: number): OpenFile {
    const file: OpenFile = { fd, name: '', segments: [], events: [] };
    this.#opens.push(file);
    return file;
  }

  add(file: OpenFile, event: TraceEvent): void {
    file.events.push(event);
    file.segments.push({ len: event.len, prot: event.prot, flags: event.flags, off: event.off });
  }

  /** Takes the names of those mappings that a snapshot of the same process shows. */
  nameFromMaps(lines: readonly MapsLine[], pid: number, untilNs: number): void {
    for (const file of this.#opens) {
      for (const event of file.events) {
        if (file.name !== '' || event.pid !== pid || event.timeNs > untilNs) continue;
        const line = lines.find((line) => line.start <= event.addr && event.addr < line.end);
        if (line === undefined || line.inode === 0) continue;
        if (line.off + (event.addr - line.start) === event.off) file.name = line.name;
      }
    }
  }

  /** Writes a name into every event: its own, that of an equal open, or `fd:3@12`. */
  settle(): void {
    const nameByPieces = new Map<string, string>();
    for (const file of this.#opens) {
      const key = piecesKey(file);
      if (file.name !== '' && key !== null) nameByPieces.set(key, file.name);
    }
    for (const [index, file] of this.#opens.entries()) {
      const key = piecesKey(file);
      if (file.name === '' && key !== null) file.name = nameByPieces.get(key) ?? '';
      if (file.name === '') file.name = `fd:${file.fd}@${index + 1}`;
      if (key !== null) nameByPieces.set(key, file.name);
      for (const event of file.events) event.file = file.name;
    }
  }

  get opens(): readonly OpenFile[] {
    return this.#opens;
  }
}

/** What tells a file: a library's pieces, or an exact size; null where many files look like that. */
function piecesKey(file: OpenFile): string | null {
  const [first] = file.segments;
  if (first === undefined) return null;
  if (file.segments.length < 3 && first.len % 4096 === 0) return null;
  return file.segments.map((s) => `${s.len}:${s.prot}:${s.flags}:${s.off}`).join(' ');
}
