import { Op, type TraceEvent } from '../../trace/index.ts';

/**
 * Time of a trace for mechanisms that wait: the recorded one, or, where events have none, what they
 * would about take on a kernel. Both constants were measured on Linux 6.18 (4 KiB fault 1.4 to 1.9 µs;
 * MADV_DONTNEED of one page 1.2 to 1.9 µs) and are a model: nothing else depends on them.
 */
export const TOUCH_NS = 1500;
export const CALL_NS = 1500;

export class ModelledClock {
  #nowNs = 0;

  /** The time after the event, ns. */
  after(event: TraceEvent): number {
    if (event.timeNs >= 0) this.#nowNs = Math.max(this.#nowNs, event.timeNs);
    else if (event.op === Op.touch) this.#nowNs += event.count * TOUCH_NS;
    else if (event.op !== Op.sample && event.op !== Op.mark) this.#nowNs += CALL_NS;
    return this.#nowNs;
  }
}
