/**
 * Reservations written down as they are described (vm_reserv.c), for comparison: sets and lists, no
 * frames. One process, one area, first touches and pages given back.
 */

const SLOT = 512;

export interface ModelReservation {
  readonly region: number;
  readonly pages: Set<number>;
  changedAt: number;
}

export class ReservationModel {
  /** Of each touched page: its reservation, 'zero' for the zero page, 'any' for a frame elsewhere. */
  readonly pages = new Map<number, ModelReservation | 'zero' | 'any'>();
  /** Partially populated, least recently changed first. */
  queue: ModelReservation[] = [];
  readonly counts = { made: 0, broken: 0, emptied: 0, standing: 0, held: 0, promotions: 0 };
  readonly huge = new Set<number>();
  tick = 0;

  touch(page: number, isWrite: boolean): void {
    const now = this.pages.get(page);
    if (now !== undefined && (now !== 'zero' || !isWrite)) return;
    if (isWrite) this.#write(page);
    else this.pages.set(page, 'zero');
    // Any fault that did something has a look.
    const region = Math.floor(page / SLOT);
    const all = new Set(this.#slot(region));
    const [only] = all;
    if (all.size !== 1 || typeof only !== 'object' || this.huge.has(region)) return;
    this.huge.add(region);
    this.counts.promotions += 1;
  }

  giveBack(page: number): void {
    const now = this.pages.get(page);
    this.pages.delete(page);
    if (now !== undefined) this.huge.delete(Math.floor(page / SLOT));
    if (typeof now !== 'object') return;
    now.pages.delete(page);
    // A broken one only had its pages to lose.
    if (!this.#stands(now)) return;
    this.counts.held += 1;
    if (now.pages.size > 0) {
      this.#changed(now);
      return;
    }
    this.queue = this.queue.filter((other) => other !== now);
    this.#all.delete(now);
    this.counts.emptied += 1;
    this.counts.standing -= 1;
    this.counts.held -= SLOT;
  }

  /** Breaks until so many frames are free. */
  breakSome(want: number): void {
    for (let freed = 0; freed < want && this.queue.length > 0; ) {
      const head = this.queue.shift() as ModelReservation;
      const own = SLOT - head.pages.size;
      this.#all.delete(head);
      freed += own;
      this.counts.held -= own;
      this.counts.broken += 1;
      this.counts.standing -= 1;
    }
  }

  readonly #all = new Set<ModelReservation>();

  #stands(one: ModelReservation): boolean {
    return this.#all.has(one);
  }

  #write(page: number): void {
    const region = Math.floor(page / SLOT);
    const neighbours = [this.#neighbour(page, 1), this.#neighbour(page, -1)];
    let own = neighbours.find((one) => typeof one === 'object' && this.#stands(one));
    if (own === undefined && neighbours.every((one) => one === undefined)) {
      own = { region, pages: new Set(), changedAt: -1 };
      this.#all.add(own);
      this.counts.made += 1;
      this.counts.standing += 1;
      this.counts.held += SLOT;
    }
    this.pages.set(page, own ?? 'any');
    if (typeof own !== 'object') return;
    own.pages.add(page);
    this.counts.held -= 1;
    this.#changed(own);
  }

  /** To the queue's end once a tick; a full one leaves it. */
  #changed(one: ModelReservation): void {
    const isQueued = this.queue.includes(one);
    const isFull = one.pages.size === SLOT;
    if (isQueued && !isFull && one.changedAt === this.tick) return;
    this.queue = this.queue.filter((other) => other !== one);
    if (isFull) return;
    one.changedAt = this.tick;
    this.queue.push(one);
  }

  /** What the next page up or down in the region is that is no zero page. */
  #neighbour(page: number, step: 1 | -1): ModelReservation | 'any' | undefined {
    const region = Math.floor(page / SLOT);
    for (let at = page + step; Math.floor(at / SLOT) === region; at += step) {
      const found = this.pages.get(at);
      if (found !== undefined && found !== 'zero') return found;
    }
    return undefined;
  }

  #slot(region: number): (ModelReservation | 'zero' | 'any' | undefined)[] {
    return Array.from({ length: SLOT }, (_, i) => this.pages.get(region * SLOT + i));
  }
}
