import type { Random } from '../../base/index.ts';
import type { ServerShape } from '../../trace/index.ts';

/**
 * A server with `workers` processors and `clients` that each send a request, wait for its answer,
 * think (exponentially, `thinkNs` on average) and send the next: a closed queueing loop, first come
 * first served. How long a request occupies its processor is told when it has run; when it began
 * follows from the earlier ones. With one client and no thinking, throughput is one by the mean.
 */
export class RequestLoop {
  readonly #shape: ServerShape;
  readonly #random: Random;
  /** When each client sends its next request, and when each processor is free. */
  readonly #clients: TimeHeap;
  readonly #workers: TimeHeap;
  #firstNs = -1;
  #lastNs = 0;

  constructor(shape: ServerShape, random: Random, startNs: number) {
    this.#shape = shape;
    this.#random = random;
    this.#clients = new TimeHeap(shape.clients);
    this.#workers = new TimeHeap(shape.workers);
    for (let i = 0; i < shape.workers; i++) this.#workers.push(startNs);
    // Clients begin as if they had been thinking.
    for (let i = 0; i < shape.clients; i++) this.#clients.push(startNs + this.#thinkNs());
  }

  /** The next request: when it was sent and when a processor began with it. */
  begin(): { sentNs: number; beganNs: number } {
    const sentNs = this.#clients.size > 0 ? this.#clients.pop() : this.#lastNs;
    const freeNs = this.#workers.size > 0 ? this.#workers.pop() : sentNs;
    const beganNs = Math.max(sentNs, freeNs);
    if (this.#firstNs < 0) this.#firstNs = sentNs;
    return { sentNs, beganNs };
  }

  /** It occupied its processor for so long; the time from sending to the answer. */
  end(request: { sentNs: number; beganNs: number }, serviceNs: number): number {
    const doneNs = request.beganNs + serviceNs;
    if (this.#workers.size < this.#shape.workers) this.#workers.push(doneNs);
    if (this.#clients.size < this.#shape.clients) this.#clients.push(doneNs + this.#thinkNs());
    this.#lastNs = Math.max(this.#lastNs, doneNs);
    return doneNs - request.sentNs;
  }

  /** A thread of the kernel takes the processor that is free first for so long. */
  occupy(nowNs: number, spanNs: number): void {
    if (spanNs <= 0 || this.#workers.size === 0) return;
    this.#workers.push(Math.max(nowNs, this.#workers.pop()) + spanNs);
  }

  /** From the first request to the last answer. */
  get spanNs(): number {
    return this.#firstNs < 0 ? 0 : this.#lastNs - this.#firstNs;
  }

  #thinkNs(): number {
    const { thinkNs } = this.#shape;
    return thinkNs === 0 ? 0 : -Math.log(1 - this.#random.uint32() / 2 ** 32) * thinkNs;
  }
}

/** Times, the smallest first: a binary heap of fixed size. */
class TimeHeap {
  readonly #times: Float64Array;
  size = 0;

  constructor(capacity: number) {
    this.#times = new Float64Array(capacity);
  }

  push(time: number): void {
    const times = this.#times;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (times[parent]! <= time) break;
      times[at] = times[parent]!;
      at = parent;
    }
    times[at] = time;
  }

  pop(): number {
    const times = this.#times;
    const first = times[0]!;
    const last = times[--this.size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && times[child + 1]! < times[child]!) child += 1;
      if (times[child]! >= last) break;
      times[at] = times[child]!;
      at = child;
    }
    times[at] = last;
    return first;
  }
}
