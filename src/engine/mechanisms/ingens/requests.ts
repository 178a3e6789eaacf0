/** A region that a fault asked for: its first page, and when it asked, as a running number. */
interface Request {
  readonly page: number;
  readonly order: number;
}

interface Queue {
  readonly requests: Request[];
  /** Pages of regions that need not be asked for again. */
  readonly asked: Set<number>;
  /** Regions of which a fault has been heard. */
  readonly known: Set<number>;
}

/** Regions that faults asked to be made huge, by address space, oldest first. */
export class Requests {
  readonly #queues = new Map<number, Queue>();
  #next = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** True if no fault in the region was heard of before. */
  isFirstOf(mm: number, page: number): boolean {
    const { known } = this.#queueOf(mm);
    if (known.has(page)) return false;
    known.add(page);
    return true;
  }

  /** Puts a region behind all others; nothing if it was asked for already. */
  add(mm: number, page: number): void {
    const queue = this.#queueOf(mm);
    if (queue.asked.has(page)) return;
    queue.asked.add(page);
    queue.requests.push({ page, order: this.#next++ });
    this.#count += 1;
  }

  /** The region may be asked for anew. */
  allowAgain(mm: number, page: number): void {
    this.#queues.get(mm)?.asked.delete(page);
  }

  /** Address spaces with requests. */
  spaces(): number[] {
    const spaces: number[] = [];
    for (const [mm, { requests }] of this.#queues) if (requests.length > 0) spaces.push(mm);
    return spaces;
  }

  /** The address space whose oldest request is the oldest of all. */
  oldest(): number {
    let oldest = 0;
    let order = Number.POSITIVE_INFINITY;
    for (const [mm, { requests }] of this.#queues) {
      const [first] = requests;
      if (first === undefined || first.order >= order) continue;
      order = first.order;
      oldest = mm;
    }
    return oldest;
  }

  /** The oldest request of an address space that has one: its page. */
  take(mm: number): number {
    this.#count -= 1;
    return (this.#queueOf(mm).requests.shift() as Request).page;
  }

  /** An address space went. */
  forget(mm: number): void {
    this.#count -= this.#queues.get(mm)?.requests.length ?? 0;
    this.#queues.delete(mm);
  }

  #queueOf(mm: number): Queue {
    let queue = this.#queues.get(mm);
    if (queue === undefined) {
      queue = { requests: [], asked: new Set(), known: new Set() };
      this.#queues.set(mm, queue);
    }
    return queue;
  }
}
