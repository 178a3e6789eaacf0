/**
 * Who a tree of tables belongs to: an address space, or an object's page index (objects/). Both
 * records begin with these words.
 */
export const OWNER_KIND = 0;
/** Root table, 0 before the first page. */
export const OWNER_ROOT = 1;
/** Level of the root: an address space has all levels from the start, an index grows. */
export const OWNER_ROOT_LEVEL = 2;
/** Tables of each level: [0] last-level tables (PTE), [1] PMD, [2] PUD, [3] P4D or PGD, [4] PGD. */
export const OWNER_TABLES = 3;
/** Last-level tables without any entry. */
export const OWNER_EMPTY_TABLES = 8;

export const OWNER_MM = 1;
export const OWNER_OBJECT = 2;
/** Second-level tables of a virtual machine (guest/). */
export const OWNER_GUEST = 3;
