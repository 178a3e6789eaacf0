import { sharedPool } from './shared-pool.ts';
import type { Workload } from './workload.ts';

/**
 * The case that mshare was posted for (cover letters, 2022 to 2025; seed 004): 1,500 clients of a 300 GB
 * SGA on a server with 512 GB, which ran out of memory for page tables. The clients of `shared-pool`, one
 * after the other, on that server.
 */
export const sga: Workload = {
  ...sharedPool,
  name: 'sga',
  title: '1,500 clients of a 300 GiB SGA on a server with 512 GiB',
  machine: 'database',
};
