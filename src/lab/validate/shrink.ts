import type { TraceEvent } from '../../trace/index.ts';

/** Runs a trace on fresh subjects; true when it still shows the difference. */
export type Fails = (events: readonly TraceEvent[]) => boolean;

/**
 * The shortest trace found that still fails: delta debugging (Zeller, Hildebrandt 2002) over the
 * list, then single events made simpler. `events` must fail and end at the failing event. At most
 * `trialsMax` runs: a shrunk trace is a help for people, not a proof of minimality.
 */
export function shrink(
  events: readonly TraceEvent[],
  fails: Fails,
  trialsMax = 2000,
): TraceEvent[] {
  const budget = { trials: trialsMax };
  const stillFails: Fails = (trial) => {
    if (budget.trials <= 0) return false;
    budget.trials -= 1;
    return fails(trial);
  };
  let current = dropPieces([...events], stillFails);
  for (let round = 0; round < 3; round++) {
    const simpler = dropPieces(simplifyEvents(current, stillFails), stillFails);
    const isSame = simpler.length === current.length && simpler.every((e, i) => e === current[i]);
    current = simpler;
    if (isSame) break;
  }
  return current;
}

/** Leaves out ever smaller pieces of the list, from the end, as long as the rest still fails. */
function dropPieces(events: TraceEvent[], fails: Fails): TraceEvent[] {
  let current = events;
  for (let size = Math.ceil(current.length / 2); size >= 1; size = size >> 1) {
    let isShorter = true;
    while (isShorter) {
      isShorter = false;
      for (let end = current.length; end > 0; end -= size) {
        const trial = [...current.slice(0, Math.max(0, end - size)), ...current.slice(end)];
        if (trial.length > 0 && fails(trial)) {
          current = trial;
          isShorter = true;
        }
      }
      if (size > 1) break;
    }
  }
  return current;
}

/** Tries smaller lengths and plainer forms of each event. */
function simplifyEvents(events: readonly TraceEvent[], fails: Fails): TraceEvent[] {
  const current = [...events];
  for (const [index, event] of events.entries()) {
    for (const simpler of simplerForms(event)) {
      const trial = [...current];
      trial[index] = simpler;
      if (fails(trial)) {
        current[index] = simpler;
        break;
      }
    }
  }
  return current;
}

function* simplerForms(event: TraceEvent): Iterable<TraceEvent> {
  const page = 4096;
  if (event.count > 1) yield { ...event, count: 1 };
  for (const len of [page, 2 * page, 512 * page]) {
    if (len >= event.len) break;
    const newLen = event.newLen === event.len ? len : Math.min(event.newLen, len);
    yield { ...event, len, newLen };
  }
  if (event.len > page) {
    const half = Math.floor(event.len / 2 / page) * page;
    yield { ...event, len: half, newLen: event.newLen === event.len ? half : event.newLen };
  }
  const slot = 512 * page;
  const down = Math.floor(event.addr / slot) * slot;
  if (down !== event.addr) yield { ...event, addr: down, len: event.len + event.addr - down };
}
