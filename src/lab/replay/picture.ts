import {
  areasOf,
  type Machine,
  OBJECT_SHMEM,
  occupancyOf,
  type System,
} from '../../engine/index.ts';
import { objectType } from '../../engine/objects/object.ts';
import { VM_GROWSDOWN } from '../../engine/space/vm-flags.ts';

/** What memory a table serves: the area that has the most of its span. */
const SLOT_KINDS = ['heap', 'anon', 'shmem', 'file', 'stack'] as const;
export type SlotKind = (typeof SLOT_KINDS)[number];

/**
 * Which page tables an address space has and how full each is. A slot is what one table spans;
 * slot `i` begins at address `i * slotBytes`. Neighbours that are alike are one run, so a terabyte
 * that is mapped evenly is one run.
 */
export interface SpacePicture {
  pid: number;
  slotBytes: number;
  /** Entries of a table: pages of a slot. */
  slotPages: number;
  /** Areas that the address space has, with or without tables. */
  areas: number;
  /** In address order; slots without a table are in no run. */
  runs: SlotRun[];
}

export interface SlotRun {
  /** Number of the first slot, and how many there are. */
  first: number;
  slots: number;
  kind: SlotKind;
  /** Of each slot: present pages, and whether the table has no entry at all. */
  present: number;
  isEmpty: boolean;
  /** Each is mapped by a huge page. */
  isHuge: boolean;
}

/** The page tables of a process now. Undefined if there is no such process. */
export function takePicture(system: System, pid: number): SpacePicture | undefined {
  const process = system.process(pid);
  if (process === undefined) return undefined;
  const m = system.machine;
  const areas = areasOf(m, process.mm);
  const camera = new Camera(m, process.mm);
  for (const { start, end, kind } of spans(m, areas, process.startBrk))
    camera.take(start, end, kind);
  return {
    pid,
    slotBytes: m.entryCount * 4096,
    slotPages: m.entryCount,
    areas: areas.length,
    runs: camera.runs,
  };
}

/** Slots [start, end) of one kind. */
interface Span {
  start: number;
  end: number;
  kind: SlotKind;
}

/**
 * The slots that areas touch, each once. A slot on the border of areas is of the kind that has
 * most of it, of equal ones the first.
 */
function spans(m: Machine, areas: ReturnType<typeof areasOf>, startBrk: number): Span[] {
  const slotBytes = m.entryCount * 4096;
  const found: Span[] = [];
  let lastBytes = 0;
  for (const area of areas) {
    const kind = kindOf(m, area, startBrk);
    let start = Math.floor(area.start / slotBytes);
    const end = Math.ceil(area.end / slotBytes);
    const last = found.at(-1);
    const isShared = last !== undefined && last.end > start;
    if (isShared) {
      const bytes = Math.min(area.end, (start + 1) * slotBytes) - area.start;
      if (bytes > lastBytes && last.end - last.start > 1) last.end -= 1;
      else if (bytes > lastBytes) found.pop();
      else start += 1;
    }
    const tail = area.end - Math.max(area.start, (end - 1) * slotBytes);
    if (start < end) {
      found.push({ start, end, kind });
      lastBytes = tail;
    }
  }
  return found;
}

function kindOf(
  m: Machine,
  area: { start: number; end: number; flags: number; object: number },
  startBrk: number,
): SlotKind {
  if (area.object !== 0) return objectType(m, area.object) === OBJECT_SHMEM ? 'shmem' : 'file';
  if ((area.flags & VM_GROWSDOWN) !== 0) return 'stack';
  return startBrk !== 0 && area.start <= startBrk && startBrk < area.end ? 'heap' : 'anon';
}

class Camera {
  readonly runs: SlotRun[] = [];
  readonly #m: Machine;
  readonly #mm: number;

  constructor(m: Machine, mm: number) {
    this.#m = m;
    this.#mm = mm;
  }

  /**
   * Takes slots [start, end). Whole regions of one upper table come first: where they hold no
   * table, or are the same all over, their slots are not looked at one by one. That also leaves
   * uniform tables as they are: looking at a part would write them out.
   */
  take(start: number, end: number, kind: SlotKind): void {
    const m = this.#m;
    const per = m.entryCount;
    for (let at = start; at < end; ) {
      const size = at % (per * per) === 0 && at + per * per <= end ? per * per : per;
      const to = Math.min((Math.floor(at / size) + 1) * size, end);
      this.#takeRegion(at, to, kind);
      at = to;
    }
  }

  #takeRegion(start: number, end: number, kind: SlotKind): void {
    const per = this.#m.entryCount;
    const slots = end - start;
    const found = occupancyOf(this.#m, this.#mm, start * per, end * per);
    if (found.tables === 0) return;
    const isAlike =
      slots === 1 ||
      (found.tables === slots &&
        (found.emptyTables === slots || found.present === slots * per) &&
        (found.hugeTables === 0 || found.hugeTables === slots));
    if (isAlike) {
      const { present, emptyTables, hugeTables } = found;
      const state = { present: present / slots, isEmpty: emptyTables > 0, isHuge: hugeTables > 0 };
      this.#add({ first: start, slots, kind, ...state });
      return;
    }
    const step = slots > per ? per : 1;
    for (let at = start; at < end; at += step) {
      this.#takeRegion(at, Math.min(at + step, end), kind);
    }
  }

  #add(run: SlotRun): void {
    const last = this.runs.at(-1);
    const isSame =
      last !== undefined &&
      last.first + last.slots === run.first &&
      last.kind === run.kind &&
      last.present === run.present &&
      last.isEmpty === run.isEmpty &&
      last.isHuge === run.isHuge;
    if (isSame) last.slots += run.slots;
    else this.runs.push(run);
  }
}
