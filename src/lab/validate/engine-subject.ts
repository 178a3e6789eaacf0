import { areasOf, type HugePageSettings, occupancyOf, System } from '../../engine/index.ts';
import { Op, protWord, type TraceEvent } from '../../trace/index.ts';
import { attachMechanisms, type Kernel } from '../kernels.ts';
import { Executor, SIGNALLED } from '../replay/executor.ts';
import type { Answer, Observation, Subject, VmaRow, Window } from './subject.ts';

/** The engine under a kernel's rules as something that executes a trace. */
export class EngineSubject implements Subject {
  readonly #executor: Executor;

  /** `huge`: what differs from the defaults, which have no huge pages. */
  constructor(kernel: Kernel, huge: Partial<HugePageSettings> = {}) {
    const system = new System({ rules: kernel.rules, bufferMiB: 512, huge });
    attachMechanisms(system.machine, kernel);
    this.#executor = new Executor(system);
    system.spawn(1);
  }

  apply(event: TraceEvent): Answer {
    const result = this.#executor.apply(event);
    if (result === SIGNALLED) return { ok: false, errno: 0 };
    if (result < 0) return { ok: false, errno: -result };
    const hasAddr = event.op === Op.mmap || event.op === Op.mremap;
    return hasAddr ? { ok: true, errno: 0, addr: result } : { ok: true, errno: 0 };
  }

  observe(pid: number, windows: readonly Window[]): Observation {
    const process = this.#executor.system.process(pid);
    if (process === undefined) throw new Error(`no process ${pid}`);
    const { machine, mm } = process;
    const counters = process.counters();
    const found = windows.map(({ startAddr, endAddr }) =>
      occupancyOf(machine, mm, startAddr / 4096, endAddr / 4096),
    );
    const vmas = areasOf(machine, mm)
      .filter(({ start, end }) => windows.some((w) => start < w.endAddr && end > w.startAddr))
      .map(({ start, end, prot, isShared }): VmaRow => {
        return [start, end, protWord(prot), isShared ? 's' : 'p'];
      });
    return {
      vmPteKiB: counters.vmPteKiB,
      rssAnonKiB: counters.rssAnonKiB,
      rssFileKiB: counters.rssFileKiB,
      rssShmemKiB: counters.rssShmemKiB,
      anonHugeKiB: counters.anonHugeKiB,
      present: found.map(({ present }) => present),
      swapped: found.map(({ swapped }) => swapped),
      vmas,
    };
  }

  close(): void {}
}
