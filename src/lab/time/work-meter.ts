import {
  C_ANON,
  C_COW,
  C_FAULTS,
  C_HUGE,
  C_HUGE_FAULTS,
  C_SWAP_INS,
  type Machine,
  mmCounter,
} from '../../engine/index.ts';
import type { KernelCosts } from './kernel-costs.ts';

/** What the time of a handler went into, ns. */
export interface Causes {
  /** Entering, finding the area, filling the entry. */
  entry: number;
  zeroing: number;
  copying: number;
  swapIn: number;
  /** Reclaim by who was short itself, and compaction for 2 MiB in one piece. */
  reclaim: number;
  compaction: number;
}

function noCauses(): Causes {
  return { entry: 0, zeroing: 0, copying: 0, swapIn: 0, reclaim: 0, compaction: 0 };
}

/**
 * The difference that an operation made in the engine's counters, as time. One address space at a
 * time; `begin` before the operation, then one of the others.
 */
export class WorkMeter {
  readonly causes: Causes = noCauses();
  readonly #m: Machine;
  readonly #costs: KernelCosts;
  #mm = 0;
  #faults = 0;
  #hugeFaults = 0;
  #cow = 0;
  #swapIns = 0;
  #anon = 0;
  #huge = 0;
  #collapses = 0;
  #moved = 0;
  #scanned = 0;
  #pgscan = 0;
  #kswapdScan = 0;
  #pageOuts = 0;
  #extra = 0;
  #zeroFound = 0;
  #zeroAhead = 0;
  #entriesCopied = 0;
  #sharedAnon = 0;

  constructor(m: Machine, costs: KernelCosts) {
    this.#m = m;
    this.#costs = costs;
  }

  begin(mm: number): void {
    const m = this.#m;
    this.#mm = mm;
    this.#faults = mmCounter(m, mm, C_FAULTS);
    this.#hugeFaults = mmCounter(m, mm, C_HUGE_FAULTS);
    this.#cow = mmCounter(m, mm, C_COW);
    this.#swapIns = mmCounter(m, mm, C_SWAP_INS);
    this.#anon = mmCounter(m, mm, C_ANON);
    this.#huge = mmCounter(m, mm, C_HUGE);
    this.#entriesCopied = m.sharing?.work.entriesCopied ?? 0;
    this.#sharedAnon = this.#accounted();
    this.#beginMachine();
  }

  /** Pages in RSS for no other reason than whose a shared table is (on-demand fork). */
  #accounted(): number {
    const { sharing } = this.#m;
    return sharing === null ? 0 : sharing.anonGained - sharing.anonPassed;
  }

  /** Anonymous pages that the address space got, less those that it lost. */
  #anonChange(): number {
    const accounted = this.#accounted() - this.#sharedAnon;
    return mmCounter(this.#m, this.#mm, C_ANON) - this.#anon - accounted;
  }

  #beginMachine(): void {
    const { collapses, compactionWork, sizeExtraPages, vmstat, zeroing } = this.#m;
    this.#extra = sizeExtraPages;
    this.#zeroFound = zeroing.found;
    this.#zeroAhead = zeroing.ahead;
    this.#collapses = collapses;
    this.#moved = compactionWork.pagesMoved + compactionWork.tablesMoved;
    this.#scanned = compactionWork.migrateScanned + compactionWork.freeScanned;
    this.#pgscan = vmstat.pgscanDirect;
    this.#kswapdScan = vmstat.pgscanKswapd;
    this.#pageOuts = vmstat.pswpout;
  }

  /** Faults since `begin`. */
  get faults(): number {
    return mmCounter(this.#m, this.#mm, C_FAULTS) - this.#faults;
  }

  /** Time of the faults since `begin`, of which there was at least one. */
  faultNs(): number {
    const m = this.#m;
    const mm = this.#mm;
    const costs = this.#costs;
    const huge = mmCounter(m, mm, C_HUGE_FAULTS) - this.#hugeFaults;
    const cow = mmCounter(m, mm, C_COW) - this.#cow;
    const swapIns = mmCounter(m, mm, C_SWAP_INS) - this.#swapIns;
    // What became resident and was neither read from swap nor copied was zeroed.
    const fresh = this.#anonChange() - swapIns - huge * m.entryCount;
    const base = Math.max(0, this.faults - huge);
    // A fault may give more than the page that was touched, and find its memory zeroed.
    const small = Math.min(fresh, base + m.sizeExtraPages - this.#extra);
    const found = m.zeroing.found - this.#zeroFound;
    const zeroed = Math.max(0, Math.max(0, small) + huge * m.entryCount - found);
    const { causes } = this;
    const entry = base * costs.faultNs + huge * costs.hugeFaultNs;
    const zeroing = zeroed * costs.zeroPageNs;
    const copying = cow * costs.copyPageNs;
    const swapIn = swapIns * costs.swapInNs;
    causes.entry += entry;
    causes.zeroing += zeroing;
    causes.copying += copying;
    causes.swapIn += swapIn;
    const tables = this.#tablesNs();
    causes.entry += tables;
    return entry + tables + zeroing + copying + swapIn + this.#delayNs(true);
  }

  /** Time of a system call since `begin`, with the faults of populating calls. */
  callNs(): number {
    const m = this.#m;
    const mm = this.#mm;
    const costs = this.#costs;
    const hugeGone = Math.max(0, this.#huge - mmCounter(m, mm, C_HUGE));
    const gone = Math.max(0, -this.#anonChange());
    const pagesGone = Math.max(0, gone - hugeGone * m.entryCount);
    const collapses = m.collapses - this.#collapses;
    const faulting = this.faults > 0 ? this.faultNs() : this.#tablesNs() + this.#delayNs(true);
    return (
      costs.callNs +
      pagesGone * costs.zapPageNs +
      // Taken apart and kept in part costs no zap of the whole.
      (gone >= hugeGone * m.entryCount ? hugeGone * costs.zapHugeNs : 0) +
      collapses * this.#collapseNs() +
      faulting
    );
  }

  /** Tables that fork did not copy, copied now: each entry as it would have been then. */
  #tablesNs(): number {
    const { sharing } = this.#m;
    if (sharing === null) return 0;
    return (sharing.work.entriesCopied - this.#entriesCopied) * this.#costs.forkPageNs;
  }

  /** Before what the kernel's threads do. */
  beginBackground(): void {
    this.#beginMachine();
  }

  /** Time of the kernel's threads since then. */
  backgroundNs(): number {
    const { collapses, vmstat, zeroing } = this.#m;
    const kswapdNs = (vmstat.pgscanKswapd - this.#kswapdScan) * this.#costs.reclaimScanNs;
    const zeroingNs = (zeroing.ahead - this.#zeroAhead) * this.#costs.zeroPageNs;
    const collapseNs = (collapses - this.#collapses) * this.#collapseNs();
    return collapseNs + kswapdNs + zeroingNs + this.#delayNs(false);
  }

  #collapseNs(): number {
    return this.#costs.collapseNs + this.#m.entryCount * this.#costs.copyPageNs;
  }

  /** Reclaim and compaction by whoever ran. */
  #delayNs(isHandler: boolean): number {
    const { compactionWork, vmstat } = this.#m;
    const costs = this.#costs;
    const moved = compactionWork.pagesMoved + compactionWork.tablesMoved - this.#moved;
    const scanned = compactionWork.migrateScanned + compactionWork.freeScanned - this.#scanned;
    const compaction = moved * costs.movePageNs + scanned * costs.scanFrameNs;
    const reclaim =
      (vmstat.pgscanDirect - this.#pgscan) * costs.reclaimScanNs +
      (vmstat.pswpout - this.#pageOuts) * costs.pageOutNs;
    if (isHandler) {
      this.causes.compaction += compaction;
      this.causes.reclaim += reclaim;
    }
    return compaction + reclaim;
  }
}
