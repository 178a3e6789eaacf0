import { arenaAlloc } from '../arena.ts';
import type { Machine } from '../machine.ts';
import { ENTRY_PAGE, KIND_MASK } from './entry.ts';
import { runFlags, runHigh, runLow, runRule } from './leaf.ts';
import {
  allocFew,
  denseClass,
  FEW_MAX,
  FORM_DENSE,
  FORM_FEW,
  FORM_MASK,
  FORM_ONE,
  FORM_RUN,
  flagsAt,
  setTableForm,
  T_CONTENTS,
  T_COUNT,
  T_INDEX,
  T_RULE,
  T_STATE,
} from './table.ts';

/**
 * The entries of a last-level table without the table: index, flags and word of each that is not
 * none, in order. What is written out and read back when a table is stored (stored.ts).
 */
export class TableImage {
  count = 0;
  readonly index = new Int32Array(512);
  readonly flags = new Uint8Array(512);
  readonly word = new Int32Array(512);

  add(index: number, flags: number, word: number): void {
    const at = this.count++;
    this.index[at] = index;
    this.flags[at] = flags;
    this.word[at] = word;
  }
}

/** Reads all entries of a table of any form. */
export function readImage(m: Machine, table: number, image: TableImage): void {
  const w = m.words;
  const contents = w[table + T_CONTENTS];
  image.count = 0;
  switch (w[table + T_STATE] & FORM_MASK) {
    case FORM_ONE: {
      const one = w[table + T_INDEX];
      image.add((one >> 9) & 511, (one >>> 18) & 255, contents);
      break;
    }
    case FORM_FEW:
      readFew(m, table, image);
      break;
    case FORM_RUN: {
      const rule = w[table + T_RULE];
      for (let i = runLow(rule); i < runHigh(rule); i++) image.add(i, runFlags(rule), contents + i);
      break;
    }
    case FORM_DENSE:
      readDense(m, contents, image);
      break;
    default:
      break;
  }
}

/** The pairs stand in no order: they are put into it one by one. */
function readFew(m: Machine, table: number, image: TableImage): void {
  const w = m.words;
  const contents = w[table + T_CONTENTS];
  for (let pair = 0; pair < w[table + T_COUNT]; pair++) {
    const index = w[contents + pair * 2] & 511;
    let at = image.count;
    for (; at > 0 && (image.index[at - 1] as number) > index; at--) {
      image.index[at] = image.index[at - 1] as number;
      image.flags[at] = image.flags[at - 1] as number;
      image.word[at] = image.word[at - 1] as number;
    }
    image.index[at] = index;
    image.flags[at] = (w[contents + pair * 2] >> 9) & 255;
    image.word[at] = w[contents + pair * 2 + 1];
    image.count++;
  }
}

function readDense(m: Machine, contents: number, image: TableImage): void {
  const w = m.words;
  const bytes = m.bytes;
  const flagBytes = flagsAt(m, contents);
  const { index, flags, word } = image;
  let count = 0;
  for (let i = 0; i < m.entryCount; i += 4) {
    // Four empty entries are one word of 0, four with the same flags one word too.
    const four = w[(flagBytes + i) >> 2];
    if (four === 0) continue;
    if (four === Math.imul(four & 255, 0x1010101)) {
      for (let j = i; j < i + 4; j++, count++) {
        index[count] = j;
        flags[count] = four;
        word[count] = w[contents + j];
      }
      continue;
    }
    for (let j = i; j < i + 4; j++) {
      const flag = bytes[flagBytes + j];
      if (flag === 0) continue;
      index[count] = j;
      flags[count] = flag;
      word[count] = w[contents + j];
      count++;
    }
  }
  image.count = count;
}

/**
 * Fills an EMPTY table, in the form that takes the least room. The caller sees to the owner's number
 * of empty tables.
 */
export function writeImage(m: Machine, table: number, image: TableImage): void {
  const w = m.words;
  const { count } = image;
  w[table + T_COUNT] = count;
  if (count === 0) return;
  if (count === 1) {
    const packed = ((image.index[0] as number) << 9) | ((image.flags[0] as number) << 18);
    w[table + T_INDEX] = (w[table + T_INDEX] & 511) | packed;
    w[table + T_CONTENTS] = image.word[0] as number;
    setTableForm(m, table, FORM_ONE);
  } else if (count <= FEW_MAX) {
    const contents = allocFew(m);
    for (let i = 0; i < count; i++) {
      w[contents + i * 2] = (image.index[i] as number) | ((image.flags[i] as number) << 9);
      w[contents + i * 2 + 1] = image.word[i] as number;
    }
    w[table + T_CONTENTS] = contents;
    setTableForm(m, table, FORM_FEW);
  } else if (isRun(image)) {
    const low = image.index[0] as number;
    w[table + T_CONTENTS] = (image.word[0] as number) - low;
    w[table + T_RULE] = runRule(low, low + count, image.flags[0] as number);
    setTableForm(m, table, FORM_RUN);
  } else {
    writeDense(m, table, image);
  }
}

function writeDense(m: Machine, table: number, image: TableImage): void {
  const contents = arenaAlloc(m, denseClass(m));
  const flagBytes = flagsAt(m, contents);
  for (let i = 0; i < image.count; i++) {
    const index = image.index[i] as number;
    m.words[contents + index] = image.word[i] as number;
    m.bytes[flagBytes + index] = image.flags[i] as number;
  }
  m.words[table + T_CONTENTS] = contents;
  setTableForm(m, table, FORM_DENSE);
}

/** Pages one after the other, in entries one after the other, with the same flags. */
function isRun(image: TableImage): boolean {
  const first = image.flags[0] as number;
  if ((first & KIND_MASK) !== ENTRY_PAGE) return false;
  for (let i = 1; i < image.count; i++) {
    if (image.flags[i] !== first) return false;
    if (image.index[i] !== (image.index[0] as number) + i) return false;
    if (image.word[i] !== (image.word[0] as number) + i) return false;
  }
  return true;
}
