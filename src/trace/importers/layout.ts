import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_GROWSDOWN,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  PROT_READ,
  PROT_WRITE,
} from '../../base/index.ts';
import { PAGE_BYTES } from '../address.ts';
import { Op, Outcome } from '../event.ts';
import type { EventFields } from './event-list.ts';
import type { Image } from './image.ts';
import { SEEN_ABSENT } from './image.ts';

/** One mapping that exec made. */
export interface Piece {
  start: number;
  end: number;
  prot: number;
  /** '' for anonymous memory; `[vdso]`, `[stack]` and the like as in /proc/PID/maps. */
  file: string;
  off: number;
  isShared: boolean;
}

/** Where a layout comes from: said with each of its events, under the key `exec`. */
export type LayoutSource = 'maps' | 'evidence';

const STACK = '[stack]';

/** What exec leaves below the arguments (fs/exec.c, setup_arg_pages: stack_expand). */
export const STACK_EXPAND_BYTES = 0x20000;

/** The events that make a layout, in the order of addresses. */
export function layoutEvents(
  image: Image,
  pieces: readonly Piece[],
  source: LayoutSource,
): EventFields[] {
  const events: EventFields[] = [];
  for (const piece of [...pieces].sort((a, b) => a.start - b.start)) {
    if (piece.file === '[heap]') {
      events.push(heapEvent(image, piece, source));
      continue;
    }
    const isStack = piece.file === STACK;
    const isAnonymous = piece.file === '' || isStack;
    events.push({
      op: Op.mmap,
      pid: image.pid,
      timeNs: image.timeNs,
      addr: piece.start,
      len: piece.end - piece.start,
      prot: piece.prot,
      flags:
        MAP_FIXED |
        (piece.isShared ? MAP_SHARED : MAP_PRIVATE) |
        (isAnonymous ? MAP_ANONYMOUS : 0) |
        (isStack ? MAP_GROWSDOWN | MAP_STACK : 0),
      file: isAnonymous ? '' : piece.file,
      off: isAnonymous ? 0 : piece.off,
      outcome: Outcome.ok,
      extra: { exec: source },
    });
  }
  return events;
}

/** Of a process that ran already: a break with the heap's start maps it and tells where it grows. */
function heapEvent(image: Image, piece: Piece, source: LayoutSource): EventFields {
  const [addr, len] = [piece.start, piece.end - piece.start];
  const head = { op: Op.brk, pid: image.pid, timeNs: image.timeNs };
  return { ...head, addr, len, outcome: Outcome.ok, extra: { exec: source } };
}

/**
 * The stack as exec left it: room for growth below the pages that hold the arguments and the
 * environment. Those the kernel wrote without a fault (copy_strings), so they lie above every page
 * that was ever absent. `start` is that of a snapshot's stack: if it had not grown yet, it tells
 * their number exactly; exec may leave an untouched page below them (arch_align_stack).
 */
export function stackPiece(image: Image, start: number, end: number): Piece {
  const shown = end - start - STACK_EXPAND_BYTES;
  const atMost = end - highestAbsent(image, start, end) - PAGE_BYTES;
  const isShown = shown >= PAGE_BYTES && shown <= atMost;
  const argumentBytes = isShown ? shown : Math.max(atMost, PAGE_BYTES);
  return {
    start: end - argumentBytes - STACK_EXPAND_BYTES,
    end,
    prot: PROT_READ | PROT_WRITE,
    file: STACK,
    off: 0,
    isShared: false,
  };
}

/** The highest page in the range that was absent when it was touched. */
function highestAbsent(image: Image, start: number, end: number): number {
  let highest = start;
  for (const [page, bits] of image.pages) {
    const addr = page * PAGE_BYTES;
    if ((bits & SEEN_ABSENT) !== 0 && addr < end) highest = Math.max(highest, addr);
  }
  return highest;
}

/** The touches that stand for copy_strings. */
export function argumentTouches(image: Image, stack: Piece): EventFields[] {
  const touches: EventFields[] = [];
  for (let addr = stack.start + STACK_EXPAND_BYTES; addr < stack.end; addr += PAGE_BYTES) {
    touches.push({
      op: Op.touch,
      pid: image.pid,
      timeNs: image.timeNs,
      addr,
      isWrite: true,
      outcome: Outcome.ok,
      extra: { exec: 'arguments' },
    });
  }
  return touches;
}
