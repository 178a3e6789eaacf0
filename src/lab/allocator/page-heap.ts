/** Page numbers, the one that comes first by a given order on top: a binary heap. */
export class PageHeap {
  readonly #rank: (page: number) => number;
  readonly #pages: number[] = [];

  constructor(rank: (page: number) => number) {
    this.#rank = rank;
  }

  get top(): number | undefined {
    return this.#pages[0];
  }

  push(page: number): void {
    const pages = this.#pages;
    const rank = this.#rank(page);
    let at = pages.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = pages[parent] as number;
      if (this.#rank(above) <= rank) break;
      pages[at] = above;
      at = parent;
    }
    pages[at] = page;
  }

  pop(): void {
    const pages = this.#pages;
    const last = pages.pop();
    if (last === undefined || pages.length === 0) return;
    const rank = this.#rank(last);
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= pages.length) break;
      const right = child + 1;
      if (right < pages.length) {
        const isRightFirst =
          this.#rank(pages[right] as number) < this.#rank(pages[child] as number);
        if (isRightFirst) child = right;
      }
      const below = pages[child] as number;
      if (this.#rank(below) >= rank) break;
      pages[at] = below;
      at = child;
    }
    pages[at] = last;
  }
}
