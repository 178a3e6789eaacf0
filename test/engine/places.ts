/** What tests of private anonymous memory map, and where. */
export const PAGE = 4096;
export const HUGE: number = 512 * PAGE;
/** Where an entry of each level begins. */
export const AT = 0x10000000000;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE. */
export const ANON = 0x4032;
