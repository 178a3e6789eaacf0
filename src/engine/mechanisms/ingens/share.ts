import type { Machine } from '../../machine.ts';
import { C_HUGE, MM_PID, mmCounter } from '../../space/mm.ts';
import type { Heat } from './heat.ts';
import type { IngensOptions } from './options.ts';
import type { IngensVariant } from './variant.ts';

/** Share priorities of processes by pid, over the one that all have. */
export type Shares = ReadonlyMap<number, number>;

/**
 * The memory promotion metric: who has the largest is served next, so that it tends to be equal.
 *
 *   published   M = S / (H * alpha),  alpha = f + tau * (1 - f)
 *   released    M = S * 100 * W / H, whole numbers
 *
 * S the share priority, H the huge pages held (0 counts as 1), f the idle part of them, W the huge pages
 * that the process' anonymous memory would need. The released one knows H and W from the last scan
 * (`osa_compute_fairness_metric`), and collects f without using it.
 */
export class ShareMetric {
  readonly #m: Machine;
  readonly #options: IngensOptions;
  readonly #variant: IngensVariant;
  readonly #shares: Shares;

  constructor(m: Machine, options: IngensOptions, variant: IngensVariant, shares: Shares) {
    this.#m = m;
    this.#options = options;
    this.#variant = variant;
    this.#shares = shares;
  }

  share(mm: number): number {
    return this.#shares.get(this.#m.words[mm + MM_PID]) ?? this.#options.share;
  }

  of(mm: number, heat: Heat): number {
    const share = this.share(mm);
    if (this.#variant.isFirstComeFirstServed) {
      const { held, wanted } = heat.seen(mm);
      return Math.floor((share * wanted * 100) / Math.max(1, held));
    }
    const held = Math.max(1, mmCounter(this.#m, mm, C_HUGE));
    const idle = heat.idleShare(mm);
    const tau = this.#options.tauPercent / 100;
    // Idle memory counts more against its holder than active memory.
    const alpha = Math.max(1e-9, idle + tau * (1 - idle));
    return share / (held * alpha);
  }
}
