/** Frames that compaction moved and looked at. */
export interface CompactionWork {
  /** Moved, by what stood in them. */
  pagesMoved: number;
  tablesMoved: number;
  /** Looked at by a scanner (compact_migrate_scanned, compact_free_scanned). */
  migrateScanned: number;
  freeScanned: number;
}

export function noCompactionWork(): CompactionWork {
  return { pagesMoved: 0, tablesMoved: 0, migrateScanned: 0, freeScanned: 0 };
}
