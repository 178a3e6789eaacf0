import { InputError } from '../base/index.ts';

/** Values of settings as text: `key=value`, from the command line or a kernel's name. */

/** A whole number of at least `least`, or an InputError that says so. */
export function wholeNumber(key: string, value: string, least: number): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < least || value.trim() === '') {
    throw new InputError(`${key}=${value}: want a whole number of at least ${least}`);
  }
  return number;
}

/** One of the words, or an InputError that names them. */
export function oneOf<T extends string>(key: string, value: string, words: readonly T[]): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw new InputError(`${key}=${value}: want ${words.join(', ')}`);
  return found;
}
