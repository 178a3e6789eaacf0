import type { Machine } from '../../machine.ts';
import { compactBounded } from '../../migrate/compact.ts';
import type { Heat } from './heat.ts';
import type { IngensOptions } from './options.ts';

/**
 * Compaction in the background, for whoever will want 2 MiB later: so often, so many pages at most, and
 * not of pageblocks with hot pages. To move a page costs whoever uses it a TLB shoot-down, and a block
 * that keeps one page is no block (research notes 1.10; the numbers are recalled, options.ts).
 *
 * As published it is due where memory is not in large pieces, the same FMFI that the promotion thread
 * goes by: that it looks at all is an assumption.
 */
export class Compactor {
  pagesMoved = 0;
  /** Free blocks of 2 MiB more than before. */
  blocksMade = 0;
  /** Hot pages in the pageblocks that were passed over, each time counted. */
  hotPagesPassed = 0;
  readonly #m: Machine;
  readonly #options: IngensOptions;
  readonly #heat: Heat;
  #nextNs = -1;

  constructor(m: Machine, options: IngensOptions, heat: Heat) {
    this.#m = m;
    this.#options = options;
    this.#heat = heat;
  }

  run(nowNs: number): void {
    const periodNs = this.#options.compactMs * 1e6;
    if (periodNs === 0) return;
    if (this.#nextNs < 0) this.#nextNs = nowNs + periodNs;
    while (nowNs >= this.#nextNs) {
      const moved = this.compact();
      this.#nextNs += periodNs;
      if (moved > 0) continue;
      // Nobody runs between periods that are due at once: the next would find nothing either.
      const due = Math.floor((nowNs - this.#nextNs) / periodNs) + 1;
      this.#nextNs += Math.max(0, due) * periodNs;
    }
  }

  /** One period's work; pages moved. */
  compact(): number {
    const { compactPages, compactRounds, fmfiPercent } = this.#options;
    const hot = this.#heat.hotPages();
    const result = compactBounded(this.#m, {
      pages: compactPages > 0 ? compactPages : Number.POSITIVE_INFINITY,
      rounds: compactRounds > 0 ? compactRounds : Number.POSITIVE_INFINITY,
      scoreMax: fmfiPercent - 1,
      spares: (block) => {
        const pages = hot[block] as number;
        this.hotPagesPassed += pages;
        return pages > 0;
      },
    });
    this.pagesMoved += result.pagesMoved;
    this.blocksMade += result.hugeAfter - result.hugeBefore;
    return result.pagesMoved;
  }
}
