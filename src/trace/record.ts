import { Op, Outcome, type TraceEvent } from './event.ts';

/** Puts every field back to its neutral value; `line` stays. */
export function resetEvent(event: TraceEvent): void {
  event.op = Op.mark;
  event.pid = 0;
  event.tid = 0;
  event.timeNs = -1;
  event.addr = 0;
  event.len = 0;
  event.newLen = 0;
  event.newAddr = 0;
  event.prot = 0;
  event.flags = 0;
  event.advice = 0;
  event.off = 0;
  event.file = '';
  event.isWrite = false;
  event.count = 1;
  event.strideBytes = 4096;
  event.content = -1;
  event.child = 0;
  event.outcome = Outcome.unknown;
  event.errno = 0;
  event.sample = null;
  event.name = '';
  event.workNs = 0;
  event.extra = null;
}

/** A copy that a reader's next event does not change. */
export function copyEvent(event: TraceEvent): TraceEvent {
  return { ...event };
}
