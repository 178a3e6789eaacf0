import { assert } from '../../../base/index.ts';
import type { Machine } from '../../machine.ts';
import type { Mechanism } from '../mechanism.ts';
import { type ScanWork, scanSpace } from './scan-space.ts';

/**
 * The asynchronous scan (Qi Zheng, RFC "asynchronously scan and free empty user PTE pages", June
 * 2024, mm/freept.c): each address space is due again a delay after its last scan; the next time that
 * one of its tasks returns to user space it walks part of the addresses and frees the tables without
 * entries. Nothing marks the address space: it is scanned whether or not anything was given back.
 *
 * In the RFC the timer's tick looks whether a scan is due; here every return to user space does, so a
 * scan begins up to a tick (1 to 10 ms) sooner.
 */
export interface TableScanOptions {
  /** Between two scans of an address space. The RFC's MM_PGTABLE_SCAN_DELAY: 100 ms. */
  readonly delayNs: number;
  /** Addresses that a scan goes through at least. The RFC's MM_PGTABLE_SCAN_SIZE: 256 MB. */
  readonly sizeBytes: number;
}

export const TABLE_SCAN_DEFAULTS: TableScanOptions = { delayNs: 100e6, sizeBytes: 256 * 2 ** 20 };

/** An address space's turn. */
interface Turn {
  /** When it is due, ns; mm_pgtable_next_scan. */
  dueNs: number;
  /** Page at which the next scan begins; mm_pgtable_scan_offset. */
  offset: number;
}

const scanners = new WeakMap<Machine, TableScanner>();

export function tableScanWith(options: TableScanOptions): Mechanism {
  return {
    id: 'table-scan',
    title: 'empty PTE tables freed by a scan in the background',
    excludes: {},
    settings: { delayMs: options.delayNs / 1e6, sizeMiB: options.sizeBytes / 2 ** 20 },
    settingTexts: {
      delayMs: 'between two scans of an address space, ms',
      sizeMiB: 'addresses that a scan goes through at least, MiB',
    },
    withSettings({ delayMs = 100, sizeMiB = 256 }) {
      return tableScanWith({ delayNs: delayMs * 1e6, sizeBytes: sizeMiB * 2 ** 20 });
    },
    attach(m) {
      scanners.set(m, new TableScanner(m, options));
    },
    counters(m) {
      const scanner = scanners.get(m);
      assert(scanner !== undefined, 'table-scan is not attached');
      return { ...scanner.work };
    },
  };
}

export const tableScan: Mechanism = tableScanWith(TABLE_SCAN_DEFAULTS);

class TableScanner {
  readonly work: ScanWork = { scans: 0, tablesScanned: 0, tablesFreed: 0 };
  readonly #delayNs: number;
  readonly #sizePages: number;
  readonly #turns = new Map<number, Turn>();

  constructor(m: Machine, { delayNs, sizeBytes }: TableScanOptions) {
    // Threads would each have turns of their own.
    assert(!m.isShared, 'table-scan is for machines of one thread');
    this.#delayNs = delayNs;
    this.#sizePages = Math.floor(sizeBytes / 4096);
    m.events.returnToUser = (machine, mm, nowNs) => this.#returnToUser(machine, mm, nowNs);
    m.events.spaceGone = (_machine, mm) => {
      this.#turns.delete(mm);
    };
  }

  #returnToUser(m: Machine, mm: number, nowNs: number): void {
    const turn = this.#turns.get(mm);
    if (turn === undefined) {
      this.#turns.set(mm, { dueNs: nowNs + this.#delayNs, offset: 0 });
      return;
    }
    if (nowNs < turn.dueNs) return;
    turn.dueNs = nowNs + this.#delayNs;
    turn.offset = scanSpace(m, mm, turn.offset, this.#sizePages, this.work);
  }
}
