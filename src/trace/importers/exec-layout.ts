import { PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { PAGE_BYTES } from '../address.ts';
import type { Image, UncoveredCall } from './image.ts';
import { type Piece, stackPiece } from './layout.ts';
import { MappingSet } from './mapping-set.ts';
import type { MapsLine } from './maps-file.ts';

/** What a snapshot tells of an image. */
export interface SnapshotLayout {
  /** As they were right after exec. */
  pieces: Piece[];
  /** Attached later, by calls that were not recorded (shmat): in the snapshot, but not exec's. */
  attached: Piece[];
}

/**
 * Finds what exec mapped from a snapshot of /proc/PID/maps taken shortly afterwards: what is there
 * and no recorded call mapped until `untilNs`, with the protections that recorded calls changed put
 * back (ld.so makes the relocated part of a segment read-only: one mapping has become two).
 */
export function layoutFromMaps(
  lines: readonly MapsLine[],
  image: Image,
  untilNs: number,
): SnapshotLayout {
  const recorded = new MappingSet();
  for (const range of image.recorded) {
    if (range.timeNs <= untilNs) recorded.add({ ...range, prot: 0, source: null });
  }
  const pieces: Piece[] = [];
  const attached: Piece[] = [];
  for (const line of lines) {
    if (line.name === '[heap]' || line.name === '[vsyscall]') continue;
    if (line.name === '[stack]') pieces.push(stackPiece(image, line.start, line.end));
    else {
      for (const part of partsNotRecorded(line, recorded)) {
        const isExecs =
          !line.isShared && (line.inode !== 0 || line.name !== '' || followsFile(part, pieces));
        (isExecs ? pieces : attached).push(part);
      }
    }
  }
  const calls = image.calls.filter((call) => call.prot >= 0 && call.timeNs <= untilNs);
  return { pieces: undoMprotect(pieces, calls), attached };
}

function partsNotRecorded(line: MapsLine, recorded: MappingSet): Piece[] {
  return recorded.holes(line.start, line.end).map(({ start, end }) => ({
    start,
    end,
    prot: line.prot,
    file: line.name,
    off: line.inode === 0 ? 0 : line.off + (start - line.start),
    isShared: line.isShared,
  }));
}

/** A program's .bss is anonymous memory right behind its last segment. */
function followsFile(part: Piece, pieces: readonly Piece[]): boolean {
  const before = pieces.at(-1);
  return before !== undefined && before.end === part.start && before.file !== '';
}

function undoMprotect(pieces: readonly Piece[], calls: readonly UncoveredCall[]): Piece[] {
  const split = pieces.flatMap((piece) => splitAt(piece, calls));
  const isChanged = (piece: Piece): boolean =>
    calls.some((call) => call.start <= piece.start && piece.end <= call.end);
  // From the right, so that a changed piece finds its neighbour's protection already restored.
  for (let i = split.length - 1; i >= 0; i--) {
    const piece = split[i] as Piece;
    if (!isChanged(piece)) continue;
    const next = split[i + 1];
    if (next !== undefined && continues(piece, next)) piece.prot = next.prot;
    // A whole segment of relocated data: it was writable, as ld.so wrote it.
    else if (piece.prot === PROT_READ) piece.prot = PROT_READ | PROT_WRITE;
  }
  const merged: Piece[] = [];
  for (const piece of split) {
    const last = merged.at(-1);
    if (last !== undefined && continues(last, piece) && last.prot === piece.prot)
      last.end = piece.end;
    else merged.push(piece);
  }
  return merged;
}

function splitAt(piece: Piece, calls: readonly UncoveredCall[]): Piece[] {
  const cuts = calls
    .flatMap((call) => [call.start, call.end])
    .filter((at) => at > piece.start && at < piece.end)
    .sort((a, b) => a - b);
  const parts: Piece[] = [];
  let start = piece.start;
  for (const end of [...cuts, piece.end]) {
    if (end === start) continue;
    const off = piece.file === '' ? 0 : piece.off + (start - piece.start);
    parts.push({ ...piece, start, end, off });
    start = end;
  }
  return parts;
}

function continues(piece: Piece, next: Piece): boolean {
  return (
    piece.end === next.start &&
    piece.file === next.file &&
    !piece.file.startsWith('[') &&
    (piece.file === '' || piece.off + (piece.end - piece.start) === next.off)
  );
}

/** Pages of the image that a layout does not cover; the stack may grow down to `stackLimit` bytes. */
export function pagesOutside(image: Image, pieces: readonly Piece[]): number[] {
  const set = new MappingSet();
  for (const piece of pieces) {
    const growth = piece.file === '[stack]' ? STACK_GROWTH_BYTES : 0;
    set.add({ start: piece.start - growth, end: piece.end, prot: 0, source: null });
  }
  return [...image.pages.keys()]
    .filter((page) => set.find(page * PAGE_BYTES) === undefined)
    .sort((a, b) => a - b);
}

/** The usual limit of a stack (ulimit -s): growth is the kernel's, not a mapping that was missed. */
const STACK_GROWTH_BYTES = 8 << 20;
