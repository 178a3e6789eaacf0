import type { Random } from '../../../base/index.ts';
import { H_MM_LIST } from '../../layout.ts';
import type { Machine } from '../../machine.ts';
import { C_HUGE, MM_NEXT, mmCounter } from '../../space/mm.ts';
import { vmaAt, vmaEnd, vmaStart } from '../../space/vma.ts';
import { ENTRY_ACCESSED } from '../../tables/entry.ts';
import { isHuge } from '../../tables/huge-entry.ts';
import { runFlags, setRunFlags } from '../../tables/leaf.ts';
import { T_RULE } from '../../tables/table.ts';
import { isLeaf, LeafCursor } from '../../tables/walk.ts';
import type { IngensOptions } from './options.ts';

/** Scans that a page's history remembers. */
const HISTORY_BITS = 8;
/** A page is hot from there on: used in three quarters of them. */
const HOT = 6;

interface History {
  bits: number;
  average: number;
}

const cursor = new LeafCursor();

/**
 * How hot huge pages are (Scan-kth): each scan reads and clears their accessed bits, keeps eight of
 * them, and averages how many are set: F = a * set + (1 - a) * F. Clearing a bit costs the page's next
 * access a walk, so of hot pages only some are looked at.
 */
export class Heat {
  readonly #m: Machine;
  readonly #options: IngensOptions;
  readonly #random: Random;
  /** By the table that maps the huge page. */
  #histories = new Map<number, History>();
  #idle = new Map<number, number>();
  #nextNs = -1;

  constructor(m: Machine, options: IngensOptions, random: Random) {
    this.#m = m;
    this.#options = options;
    this.#random = random;
  }

  run(nowNs: number): void {
    const periodNs = this.#options.scanMs * 1e6;
    if (this.#nextNs < 0) this.#nextNs = nowNs + periodNs;
    while (nowNs >= this.#nextNs) {
      this.scan();
      this.#nextNs += periodNs;
    }
  }

  /** The share of an address space's huge pages that are idle, 0 to 1. */
  idleShare(mm: number): number {
    const huge = mmCounter(this.#m, mm, C_HUGE);
    return huge === 0 ? 0 : Math.min(1, (this.#idle.get(mm) ?? 0) / huge);
  }

  /** The table maps a huge page anew. */
  forget(table: number): void {
    this.#histories.delete(table);
  }

  scan(): void {
    const m = this.#m;
    const histories = new Map<number, History>();
    this.#idle = new Map();
    for (let mm = m.words[H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) {
      if (mmCounter(m, mm, C_HUGE) > 0) this.#scanSpace(mm, histories);
    }
    this.#histories = histories;
  }

  #scanSpace(mm: number, histories: Map<number, History>): void {
    const m = this.#m;
    let idle = 0;
    for (let i = 0, vma = vmaAt(m, mm, 0); vma !== 0; vma = vmaAt(m, mm, ++i)) {
      cursor.begin(mm, vmaStart(m, vma), vmaEnd(m, vma));
      for (let table = cursor.next(m); table !== 0; table = cursor.next(m)) {
        if (!isLeaf(m, table) || !isHuge(m, table)) continue;
        const history = this.#histories.get(table) ?? { bits: 0, average: 0 };
        histories.set(table, history);
        this.#look(table, history);
        if (history.average < HOT) idle++;
      }
    }
    this.#idle.set(mm, idle);
  }

  #look(table: number, history: History): void {
    const { emaPercent, samplePercent } = this.#options;
    if (history.average >= HOT && !this.#random.chance(samplePercent / 100)) return;
    const m = this.#m;
    const flags = runFlags(m.words[table + T_RULE]);
    const isUsed = (flags & ENTRY_ACCESSED) !== 0;
    if (isUsed) setRunFlags(m, table, flags & ~ENTRY_ACCESSED);
    history.bits = ((history.bits << 1) | (isUsed ? 1 : 0)) & ((1 << HISTORY_BITS) - 1);
    const a = emaPercent / 100;
    history.average = a * bitCount(history.bits) + (1 - a) * history.average;
  }
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}
