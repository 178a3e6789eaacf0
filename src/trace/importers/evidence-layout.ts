import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { PAGE_BYTES } from '../address.ts';
import { pagesOutside } from './exec-layout.ts';
import { type Image, SEEN_EXEC, SEEN_WRITE } from './image.ts';
import { type Piece, stackPiece } from './layout.ts';

/** Where ld.so and the vdso lie relative to each other, learnt from an image that has a snapshot. */
export interface InterpreterTemplate {
  /** Addresses relative to the start of ld.so. */
  pieces: readonly Piece[];
  /** Of ld.so's first instruction. */
  entry: number;
}

const RW = PROT_READ | PROT_WRITE;
const RX = PROT_READ | PROT_EXEC;

/** The highest place of a stack, and how far below it one can be placed at random (x86-64). */
const STACK_TOP = 0x7ffffffff000;
const STACK_RANDOM_BYTES = 2 ** 34 + 2 ** 30;

/** Touched pages farther apart belong to different things: a program's segments lie closer. */
const CLUSTER_GAP_BYTES = 64 << 20;

/** Learns the template from an image whose first instruction lies in one of its files. */
export function interpreterTemplate(
  image: Image,
  pieces: readonly Piece[],
): InterpreterTemplate | null {
  const at = image.firstIp;
  const interpreter = pieces.find((piece) => piece.start <= at && at < piece.end)?.file;
  if (interpreter === undefined || interpreter === '') return null;
  const own = pieces.filter((piece) => piece.file === interpreter);
  const base = Math.min(...own.map((piece) => piece.start));
  const special = pieces.filter((piece) => /^\[v/.test(piece.file));
  return {
    pieces: [...own, ...special].map((piece) => ({
      ...piece,
      start: piece.start - base,
      end: piece.end - base,
    })),
    entry: at - base,
  };
}

/**
 * Guesses what exec mapped from the faults and calls that no recorded mapping explains: ld.so and
 * vdso by the template, the stack, and the rest in clusters, each a program's segments. The pages
 * are right, the borders between and around them are not known.
 */
export function layoutFromEvidence(image: Image, template: InterpreterTemplate | null): Piece[] {
  const pieces = template === null ? [] : placeTemplate(image, template);
  const stack = findStack(image, pieces);
  if (stack !== null) pieces.push(stack);
  for (const cluster of clusters(pagesOutside(image, pieces), CLUSTER_GAP_BYTES / PAGE_BYTES)) {
    pieces.push(...segments(image, cluster));
  }
  return pieces;
}

/** ld.so and the vdso are placed next to each other below one random address. */
function placeTemplate(image: Image, template: InterpreterTemplate): Piece[] {
  const base = image.firstIp - template.entry;
  if (image.firstIp === 0 || base <= 0 || base % PAGE_BYTES !== 0) return [];
  return template.pieces.map((piece) => ({
    ...piece,
    start: piece.start + base,
    end: piece.end + base,
  }));
}

function findStack(image: Image, pieces: readonly Piece[]): Piece | null {
  const inReach = pagesOutside(image, pieces).filter((page) => {
    const addr = page * PAGE_BYTES;
    return addr < STACK_TOP && addr >= STACK_TOP - STACK_RANDOM_BYTES;
  });
  const highest = clusters(inReach, CLUSTER_GAP_BYTES / PAGE_BYTES).at(-1);
  if (highest === undefined) return null;
  // The page of the arguments is never absent, so it is not seen: one page above the highest.
  const end = ((highest.at(-1) as number) + 2) * PAGE_BYTES;
  return stackPiece(image, (highest[0] as number) * PAGE_BYTES, end);
}

/** Groups ascending page numbers whose distance is at most `gap`. */
export function clusters(pages: readonly number[], gap: number): number[][] {
  const groups: number[][] = [];
  for (const page of pages) {
    const last = groups.at(-1);
    if (last !== undefined && page - (last.at(-1) as number) <= gap) last.push(page);
    else groups.push([page]);
  }
  return groups;
}

/** The pieces of one cluster, in the order that an ELF file's segments have. */
function segments(image: Image, cluster: readonly number[]): Piece[] {
  const first = cluster[0] as number;
  const end = (cluster.at(-1) as number) + 1;
  const has = (bit: number) => (page: number) => ((image.pages.get(page) ?? 0) & bit) !== 0;
  const elfEnd = image.elfEnds.map(pageOf).find((page) => page >= first && page < end);
  const executed = cluster.filter(has(SEEN_EXEC));
  if (executed.length === 0 && elfEnd === undefined) return [anonymous(first, end, RW)];
  const writeFrom = cluster.find(has(SEEN_WRITE)) ?? end;
  const executeFrom = executed[0] ?? writeFrom;
  const executeTo = (executed.at(-1) ?? executeFrom - 1) + 1;
  if (writeFrom < executeTo) return [anonymous(first, end, RW | PROT_EXEC)];
  // The kernel cleared the rest of the file's last page; what follows (.bss) has no file.
  const fileEnd = Math.max(writeFrom, elfEnd === undefined ? end : elfEnd + 1);
  const pieces: Piece[] = [];
  const add = (from: number, to: number, prot: number): void => {
    if (from < to) pieces.push(fromFile(image, from, to, prot, first));
  };
  add(first, executeFrom, PROT_READ);
  add(executeFrom, executeTo, RX);
  add(executeTo, writeFrom, PROT_READ);
  add(writeFrom, fileEnd, RW);
  if (fileEnd < end) pieces.push(anonymous(fileEnd, end, RW));
  return pieces;
}

function pageOf(addr: number): number {
  return Math.floor(addr / PAGE_BYTES);
}

function anonymous(from: number, to: number, prot: number): Piece {
  return {
    start: from * PAGE_BYTES,
    end: to * PAGE_BYTES,
    prot,
    file: '',
    off: 0,
    isShared: false,
  };
}

function fromFile(image: Image, from: number, to: number, prot: number, first: number): Piece {
  const file = image.file.replace(/^.*\//, '');
  return { ...anonymous(from, to, prot), file, off: file === '' ? 0 : (from - first) * PAGE_BYTES };
}
