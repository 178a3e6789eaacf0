/**
 * Addresses as the text form writes them: `"0x…"`, to and from numbers.
 *
 * A number is exact below 2^53. Above it an address keeps its page and loses its offset in the page,
 * so that it never moves up into the next page: 52 bits are left above the 12 of the offset, and a
 * double holds those exactly for every 64-bit address.
 */

export const PAGE_BYTES = 4096;

/** Where user space ends with 5-level tables (Documentation/arch/x86/x86_64/5level-paging.rst). */
export const USER_SPACE_END = 2 ** 56;

const EXACT_LIMIT = 2 ** 53;

/** The number of an address, or -1 if the text is none. Accepts 1 to 16 hexadecimal digits. */
export function parseAddress(text: string): number {
  if (!/^0x[0-9a-fA-F]{1,16}$/.test(text)) return -1;
  return addressFromHex(text.slice(2));
}

/** The number of up to 16 hexadecimal digits without prefix. */
export function addressFromHex(digits: string): number {
  if (digits.length <= 13) return Number.parseInt(digits, 16);
  const high = Number.parseInt(digits.slice(0, -8), 16);
  const low = Number.parseInt(digits.slice(-8), 16);
  const address = high * 2 ** 32 + low;
  if (high < 2 ** 21) return address;
  return high * 2 ** 32 + (low - (low % PAGE_BYTES));
}

/** `0x7f0000000000`. */
export function formatAddress(address: number): string {
  return '0x' + address.toString(16);
}

/** Whether a number below 2^53 was rounded away: such an address's offset in its page is unknown. */
export function losesOffset(address: number): boolean {
  return address >= EXACT_LIMIT;
}

/** The start of the page that holds the address. */
export function pageStart(address: number): number {
  return address - (address % PAGE_BYTES);
}

/** Rounds up to whole pages. */
export function pageCeil(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
