import {
  ADVICE_WORDS,
  errnoNumber,
  MAP_FLAG_WORDS,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_FLAG_WORDS,
  PR_SET_THP_DISABLE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  THP_DISABLE_EXCEPT_ADVISED,
} from '../../base/index.ts';
import { addressFromHex } from '../address.ts';

/** Numbers of the words that strace prints, by their names in the kernel's headers. */
const VALUE_BY_WORD: ReadonlyMap<string, number> = new Map([
  ['NULL', 0],
  ['PROT_NONE', PROT_NONE],
  ['PROT_READ', PROT_READ],
  ['PROT_WRITE', PROT_WRITE],
  ['PROT_EXEC', PROT_EXEC],
  ['PROT_SEM', 8],
  ['PROT_GROWSDOWN', 0x01000000],
  ['PROT_GROWSUP', 0x02000000],
  ...prefixed('MAP_', MAP_FLAG_WORDS),
  ['MAP_ANONYMOUS', MAP_FLAG_WORDS['anon'] as number],
  ['MAP_SHARED_VALIDATE', 3],
  ['MAP_FILE', 0],
  ...prefixed('MREMAP_', MREMAP_FLAG_WORDS),
  ...prefixed('MADV_', ADVICE_WORDS),
  ['MLOCK_ONFAULT', MLOCK_ONFAULT],
  ['MCL_CURRENT', MCL_CURRENT],
  ['MCL_FUTURE', MCL_FUTURE],
  ['MCL_ONFAULT', MCL_ONFAULT],
  ['PR_SET_THP_DISABLE', PR_SET_THP_DISABLE],
  ['PR_THP_DISABLE_EXCEPT_ADVISED', THP_DISABLE_EXCEPT_ADVISED],
  ['FALLOC_FL_KEEP_SIZE', 1],
  ['FALLOC_FL_PUNCH_HOLE', 2],
  ['MAP_HUGE_SHIFT', 26],
]);

function prefixed(prefix: string, words: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(words).map(([word, value]) => [prefix + word.toUpperCase(), value]);
}

/** The number of `0x1000`, `4096`, `-1`, `PROT_READ|PROT_WRITE`, `21<<MAP_HUGE_SHIFT`, `3</lib/x>`; NaN otherwise. */
export function straceNumber(text: string): number {
  const bare = text.replace(/\/\*.*?\*\//g, '').trim();
  let value = 0;
  for (const part of bare.split('|')) {
    const [word, shift] = part.split('<<');
    const number = oneNumber((word ?? '').trim());
    const scale = shift === undefined ? 0 : oneNumber(shift.trim());
    // Bits never overlap, so a sum is their union and stays right above 32 bits.
    value += number * 2 ** scale;
  }
  return value;
}

function oneNumber(word: string): number {
  const hex = /^0x([0-9a-f]{1,16})$/i.exec(word);
  if (hex !== null) return addressFromHex(hex[1] as string);
  const decimal = /^(-?\d+)(?:<.*>)?$/.exec(word);
  if (decimal !== null) return Number(decimal[1]);
  return VALUE_BY_WORD.get(word) ?? Number.NaN;
}

/** The file of a descriptor that -y printed: `3</lib/x.so>` gives `/lib/x.so`; '' if there is none. */
export function straceFdPath(text: string): string {
  return (/^-?\w+<(.*)>$/.exec(text.trim())?.[1] ?? '')
    .replace(/ ?\(deleted\)$/, '')
    .replace(/^\/(?=memfd:)/, '');
}

/** `0x7f…`, `0`, `-1 ENOMEM (Cannot allocate memory)`, `?`. */
export function straceResult(text: string): { value: number; errno: number; isKnown: boolean } {
  const failed = /^-1 (E[A-Z0-9]+)/.exec(text);
  if (failed !== null)
    return { value: -1, errno: errnoNumber(failed[1] as string) || UNKNOWN_ERRNO, isKnown: true };
  const word = text.split(' ')[0] as string;
  const value = straceNumber(word);
  return { value, errno: 0, isKnown: !Number.isNaN(value) };
}

/** Stands for an error that pagelab has no number for: it failed, more is not kept. */
const UNKNOWN_ERRNO = -1;

/** Splits arguments at commas that stand in no bracket and no string. */
export function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let isInString = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (isInString) {
      if (letter === '\\') at++;
      else if (letter === '"') isInString = false;
    } else if (letter === '"') isInString = true;
    else if ('([{'.includes(letter)) depth++;
    else if (')]}'.includes(letter)) depth--;
    else if (letter === ',' && depth === 0) {
      parts.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  if (text.trim() !== '') parts.push(text.slice(start).trim());
  return parts;
}

/** The text of a string argument, without quotes; escapes other than those of quotes stay. */
export function straceString(text: string): string {
  return /^"((?:[^"\\]|\\.)*)"/.exec(text.trim())?.[1]?.replace(/\\(["\\])/g, '$1') ?? '';
}
