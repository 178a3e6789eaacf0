import { Kcompactd, Khugepaged, type Machine, type MachineOptions } from '../../engine/index.ts';

/** The kernel's threads that go by the time: khugepaged, kcompactd, ksmd. Null: the machine has none. */
export class KernelThreads {
  readonly khugepaged: Khugepaged | null;
  readonly kcompactd: Kcompactd | null;
  readonly #machine: Machine;

  constructor(machine: Machine, options: MachineOptions) {
    this.#machine = machine;
    this.khugepaged = khugepagedOf(machine);
    this.kcompactd = kcompactdOf(machine, options);
  }

  get areAny(): boolean {
    return this.khugepaged !== null || this.kcompactd !== null || this.#machine.ksm !== null;
  }

  /** The time is `nowNs`: each does what is due. */
  run(nowNs: number): void {
    this.khugepaged?.run(nowNs);
    this.kcompactd?.run(nowNs);
    this.#machine.ksm?.ksmd.run(nowNs);
  }
}

/** khugepaged with what it may do on this machine; null where there are no huge pages for it. */
function khugepagedOf(machine: Machine): Khugepaged | null {
  const { enabled } = machine.huge;
  // A mechanism that makes huge pages in the background does so in its place.
  if (enabled === 'never' || !machine.hasHugeFaults || !machine.hasKhugepaged) return null;
  const khugepaged = new Khugepaged(machine);
  const { spaceGone } = machine.events;
  machine.events.spaceGone = (m, mm) => {
    spaceGone?.(m, mm);
    khugepaged.forget(mm);
  };
  return khugepaged;
}

/**
 * kcompactd where huge pages are Linux's own, or where somebody has said how much it is to do. A
 * mechanism that makes huge pages in the background compacts in its own way.
 */
function kcompactdOf(machine: Machine, options: MachineOptions): Kcompactd | null {
  const isWanted = machine.hasHugeFaults || (options.compactionProactiveness ?? 0) > 0;
  return isWanted && !machine.isShared ? new Kcompactd(machine) : null;
}
