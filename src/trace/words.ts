import {
  ADVICE_WORDS,
  MAP_FLAG_WORDS,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_FLAG_WORDS,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../base/index.ts';
import { protWord } from './event.ts';

/**
 * The words of the text form for bit sets: comma-separated names, and `0x…` for bits that have no
 * name, so that every number survives the way to text and back.
 */
export interface WordTable {
  readonly bitsByWord: ReadonlyMap<string, number>;
  readonly names: string;
}

function wordTable(words: Readonly<Record<string, number>>): WordTable {
  return { bitsByWord: new Map(Object.entries(words)), names: Object.keys(words).join(', ') };
}

export const MAP_WORDS = wordTable(MAP_FLAG_WORDS);
export const MREMAP_WORDS = wordTable(MREMAP_FLAG_WORDS);
export const MLOCK_WORDS = wordTable({ onfault: MLOCK_ONFAULT });
export const MLOCKALL_WORDS = wordTable({
  current: MCL_CURRENT,
  future: MCL_FUTURE,
  onfault: MCL_ONFAULT,
});

const HEX_BITS = /^0x[0-9a-fA-F]{1,8}$/;

/** The bits of `"private,anon,0x4000000"`, or the first part that is neither a word nor `0x…`. */
export function parseWords(text: string, table: WordTable): number | string {
  if (text === '') return 0;
  let bits = 0;
  for (const word of text.split(',')) {
    const known = table.bitsByWord.get(word);
    if (known !== undefined) bits |= known;
    else if (HEX_BITS.test(word)) bits |= Number.parseInt(word, 16);
    else return word;
  }
  return bits >>> 0;
}

/** The opposite of `parseWords`. */
export function formatWords(bits: number, table: WordTable): string {
  const words: string[] = [];
  let rest = bits >>> 0;
  for (const [word, bit] of table.bitsByWord) {
    if ((bits & bit) !== bit) continue;
    words.push(word);
    rest &= ~bit;
  }
  if (rest !== 0) words.push('0x' + (rest >>> 0).toString(16));
  return words.join(',');
}

const LETTERS = /^(?:none|r?w?x?)$/;

/** PROT_* bits of `none`, `r`, `rw`, `rwx`…, with `,0x…` for other bits; -1 if it is none of them. */
export function parseProt(text: string): number {
  const comma = text.indexOf(',');
  const letters = comma < 0 ? text : text.slice(0, comma);
  const rest = comma < 0 ? '' : text.slice(comma + 1);
  if (letters === '' || !LETTERS.test(letters)) return -1;
  if (comma >= 0 && !HEX_BITS.test(rest)) return -1;
  let prot = rest === '' ? 0 : Number.parseInt(rest, 16);
  if (letters !== 'none') {
    if (letters.includes('r')) prot |= PROT_READ;
    if (letters.includes('w')) prot |= PROT_WRITE;
    if (letters.includes('x')) prot |= PROT_EXEC;
  }
  return prot >>> 0;
}

/** The opposite of `parseProt`. */
export function formatProt(prot: number): string {
  const known = PROT_READ | PROT_WRITE | PROT_EXEC;
  const word = protWord(prot & known);
  const rest = prot & ~known;
  return rest === 0 ? word : `${word},0x${(rest >>> 0).toString(16)}`;
}

const wordByAdvice = new Map(Object.entries(ADVICE_WORDS).map(([word, advice]) => [advice, word]));
const adviceByWord = new Map(Object.entries(ADVICE_WORDS));

/** MADV_* of a word; -1 if there is none. */
export function parseAdvice(word: string): number {
  return adviceByWord.get(word) ?? -1;
}

/** A word, or the number itself where it has none. */
export function formatAdvice(advice: number): string | number {
  return wordByAdvice.get(advice) ?? advice;
}
