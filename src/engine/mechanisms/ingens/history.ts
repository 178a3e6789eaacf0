import type { IngensVariant } from './variant.ts';

/** Scans that a page's history remembers (FREQ_BITMAP_SIZE). */
const HISTORY_BITS = 8;
/** A page is hot from there on: used in three quarters of them. */
const HOT_BITS = 6;
/** Below it a published average counts as 0. */
const NEGLIGIBLE = 1e-3;

/** How the accessed bits of the last scans say whether a page is hot. */
export interface HeatRule {
  /** Hot from that average on; a page that was never looked at has 0. */
  readonly hotFrom: number;
  /** Where an empty history ends: a page there that is not used stays there. */
  readonly coldest: number;
  /** The average after a scan: `bits` is the history, the newest scan in bit 0. */
  average(before: number, bits: number): number;
}

/**
 * As published, F = a * set + (1 - a) * F, hot from 6 of 8 on. As released, of the difference to 6 and
 * cut off towards 0: from 0, which counts as hot, it never rises, and only to -3 falls.
 */
export function heatRuleOf(variant: IngensVariant, emaPercent: number): HeatRule {
  if (!variant.hasIntegerAverage) {
    const a = emaPercent / 100;
    return {
      hotFrom: HOT_BITS,
      coldest: 0,
      average(before, bits) {
        const average = a * bitCount(bits) + (1 - a) * before;
        return average < NEGLIGIBLE ? 0 : average;
      },
    };
  }
  return {
    hotFrom: 0,
    // -3 is the first that (70 * x - 30 * 6) / 100 leaves as it is, with the released weights.
    coldest: fixedPoint(emaPercent),
    average(before, bits) {
      const sum = (100 - emaPercent) * before + emaPercent * (bitCount(bits) - HOT_BITS);
      // Not -0.
      return Math.trunc(sum / 100) + 0;
    },
  };
}

/** Where the released average of an unused page comes to rest. */
function fixedPoint(emaPercent: number): number {
  let at = 0;
  for (;;) {
    const next = Math.trunc(((100 - emaPercent) * at - emaPercent * HOT_BITS) / 100) + 0;
    if (next === at) return at;
    at = next;
  }
}

/** What is remembered of a table's pages: one of each, or, of a huge page, one in all. */
export class Histories {
  readonly bits: Uint8Array;
  readonly averages: Float32Array;

  constructor(pages: number) {
    this.bits = new Uint8Array(pages);
    this.averages = new Float32Array(pages);
  }

  /** A scan has looked at page `i`. True if that changed anything. */
  note(rule: HeatRule, i: number, isUsed: boolean, shifts: number): boolean {
    const bits = this.bits[i] as number;
    const average = this.averages[i] as number;
    const now = ((bits << shifts) | (isUsed ? 1 : 0)) & ((1 << HISTORY_BITS) - 1);
    this.bits[i] = now;
    this.averages[i] = rule.average(average, now);
    return now !== bits || this.averages[i] !== average;
  }

  /** True if a scan that finds the page unused changes nothing. */
  isAtRest(rule: HeatRule, i: number): boolean {
    return this.bits[i] === 0 && this.averages[i] === rule.coldest;
  }

  /** Another page stands there, or none. */
  clear(i: number): void {
    this.bits[i] = 0;
    this.averages[i] = 0;
  }

  isHot(rule: HeatRule, i: number): boolean {
    return (this.averages[i] as number) >= rule.hotFrom;
  }
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}
