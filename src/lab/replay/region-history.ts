import type { System } from '../../engine/index.ts';
import { type SlotRun, takePicture } from './picture.ts';

/** How full the private anonymous regions of a process were at one moment. */
export interface RegionColumn {
  /** As in SeriesPoint. */
  t: number;
  event: number;
  /** In address order; regions without a table are in no run. */
  runs: readonly SlotRun[];
}

/** Columns kept at most; beyond it every second one is dropped and the step doubles. */
const COLUMNS_MAX = 240;
const FIRST_STEP = 16;

/**
 * The utilisation of each 2 MiB region of one process over a replay: a picture now and then, fewer as
 * it gets long. Costs a look at the process's tables a column.
 */
export class RegionHistory {
  readonly pid: number;
  readonly columns: RegionColumn[] = [];
  slotPages = 512;
  #step = FIRST_STEP;
  #next = 0;

  constructor(pid: number) {
    this.pid = pid;
  }

  /** The event number at which the next column is due. */
  get nextDue(): number {
    return this.#next;
  }

  look(system: System, t: number, event: number): void {
    this.#next = event + this.#step;
    const picture = takePicture(system, this.pid);
    if (picture === undefined) return;
    this.slotPages = picture.slotPages;
    const runs = picture.runs.filter(({ kind }) => kind === 'anon' || kind === 'heap');
    this.columns.push({ t, event, runs });
    if (this.columns.length < COLUMNS_MAX) return;
    const kept = this.columns.filter((_, at) => at % 2 === 0);
    this.columns.length = 0;
    this.columns.push(...kept);
    this.#step *= 2;
  }
}
