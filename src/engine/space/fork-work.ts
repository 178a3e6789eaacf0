/** What copying address spaces cost, in entries and tables of page tables; whoever models time reads it. */
export interface ForkWork {
  forks: number;
  /** Entries of last-level tables that were copied, and the tables that they were copied to. */
  entriesCopied: number;
  tablesCopied: number;
  /** Entries of upper tables that came to name a table of the parent. */
  tablesShared: number;
}

export function noForkWork(): ForkWork {
  return { forks: 0, entriesCopied: 0, tablesCopied: 0, tablesShared: 0 };
}
