import { Op } from '../../trace/index.ts';
import { event, GIB_BYTES, mark, RW, SHARED_TABLES } from './program.ts';
import type { Workload } from './workload.ts';

const BASE_ADDR = 0x100000000000;

/**
 * A database's shared pool: every process maps all of it and touches every page (Khalid Aziz on
 * mshare: 1,500 clients of a 300 GB SGA need 878 GB of page tables).
 */
export const sharedPool: Workload = {
  name: 'shared-pool',
  title: '1,500 processes that each touch all of a shared 300 GiB',
  machine: 'large',
  parameters: {
    processes: { value: 1500, least: 1, what: 'processes' },
    gib: { value: 300, least: 1, what: 'GiB that they share' },
  },
  *events({ processes = 1500, gib = 300 }) {
    const len = gib * GIB_BYTES;
    yield event({ op: Op.truncate, pid: 1, file: 'memfd:pool', len });
    for (let pid = 1; pid <= processes; pid++) {
      yield event({
        op: Op.mmap,
        pid,
        addr: BASE_ADDR,
        len,
        prot: RW,
        flags: SHARED_TABLES,
        file: 'memfd:pool',
      });
      yield event({ op: Op.touch, pid, addr: BASE_ADDR, isWrite: true, count: len / 4096 });
    }
    yield mark('touched');
  },
};
