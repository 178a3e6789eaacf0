import {
  MADV_DONTNEED,
  MADV_NOHUGEPAGE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../base/index.ts';
import {
  frameUse,
  isMappedHuge,
  Kcompactd,
  Khugepaged,
  mappedFrame,
  type Process,
  runKswapd,
  System,
} from '../../engine/index.ts';
import { tune } from '../kernel-name.ts';
import { attachMechanisms, type Kernel, parseKernel } from '../kernels.ts';
import { normalPieces } from '../workloads/fragmenters.ts';

/**
 * Huge pages in a virtual machine and in its host. The guest is a machine of its own with a kernel of its
 * own; to the host it is a process, whose private anonymous memory is what the guest takes for physical
 * memory, frame for page. Whatever the guest uses, its tables and its kernel included, is backed by the
 * host on its first use, and what the guest frees stays backed, as without a balloon. A second-level
 * table would map what the process' table maps, in pieces of the same size, so it is not kept apart.
 *
 * A TLB entry maps the smaller of the guest's and the host's page. The sizes are ours.
 */
export interface GuestHugeSettings {
  readonly guestMiB: number;
  readonly hostMiB: number;
  /** What the guest's program fills, and a part of which it uses each second. */
  readonly programMiB: number;
  /** MiB of each machine that were filled before, half of them given back in pieces; 0: fresh. */
  readonly guestFragmentMiB: number;
  readonly hostFragmentMiB: number;
  readonly seconds: number;
  /** Pages that the program uses in a second, drawn at random. */
  readonly accesses: number;
}

export const GUEST_HUGE_DEFAULTS: GuestHugeSettings = {
  guestMiB: 512,
  hostMiB: 1280,
  programMiB: 192,
  guestFragmentMiB: 0,
  hostFragmentMiB: 0,
  seconds: 60,
  accesses: 2000,
};

/** MiB of the guest's program, by who maps them as a part of a huge page. */
export interface GuestHugeOutcome {
  readonly both: number;
  readonly guestOnly: number;
  readonly hostOnly: number;
  readonly neither: number;
  /** Loads of a nested walk without caches, the mean over the program's pages. */
  readonly loads: number;
  /** TLB entries that would map all of it. */
  readonly entries: number;
}

const PAGE_BYTES = 4096;
const MIB_PAGES = 256;
const SLOT_PAGES = 512;
const AT = 0x100000000000;
const PID = 1;
const FRAGMENTER = 2;
const NS_PER_SECOND = 1e9;
const LEVELS = 4;

/** The experiment with these kernels, which may have settings in brackets. */
export function runGuestHuge(
  guestKernel: string,
  hostKernel: string,
  seed: number,
  settings: Partial<GuestHugeSettings> = {},
): GuestHugeOutcome {
  const all = { ...GUEST_HUGE_DEFAULTS, ...settings };
  const host = new Side(parseKernel(hostKernel), all.hostMiB, seed);
  const guest = new Side(parseKernel(guestKernel), all.guestMiB, seed + 1);
  const vm = new Vm(guest, host, all, new Random(seed));
  vm.fill();
  for (let second = 1; second <= all.seconds; second++) vm.work(second);
  const outcome = vm.outcome();
  guest.system.machine.release();
  host.system.machine.release();
  return outcome;
}

/** A machine, its kernel and the kernel's threads. */
class Side {
  readonly system: System;
  readonly #khugepaged: Khugepaged | null;
  readonly #kcompactd: Kcompactd | null;

  constructor(kernel: Kernel, mib: number, seed: number) {
    const machine = { nodeBytes: [mib * 2 ** 20], bufferMiB: 256, rules: kernel.rules };
    this.system = new System({ ...machine, ...tune(kernel.name, {}, kernel.tunings) });
    const m = this.system.machine;
    attachMechanisms(m, kernel, seed);
    m.kswapd.isAttached = true;
    const isLinux = m.hasHugeFaults && m.huge.enabled !== 'never';
    this.#khugepaged = isLinux ? new Khugepaged(m) : null;
    this.#kcompactd = isLinux ? new Kcompactd(m) : null;
  }

  spawn(pid: number, mib: number): Process {
    const process = this.system.spawn(pid);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    process.mmap(AT, mib * 2 ** 20, PROT_READ | PROT_WRITE, flags);
    return process;
  }

  /** A program that fills so much with small pages and gives half of it back in pieces. */
  fragment(mib: number): void {
    if (mib === 0) return;
    const process = this.spawn(FRAGMENTER, mib);
    process.madvise(AT, mib * 2 ** 20, MADV_NOHUGEPAGE);
    process.touch(AT, true, mib * MIB_PAGES);
    const chunkBytes = 4 * 2 ** 20;
    for (let at = AT; at + chunkBytes <= AT + mib * 2 ** 20; at += chunkBytes) {
      for (const { offset, spanBytes } of normalPieces()) {
        process.madvise(at + offset, spanBytes, MADV_DONTNEED);
      }
    }
  }

  /** Its threads do what is due at that time. */
  tick(mm: number, nowNs: number): void {
    const m = this.system.machine;
    runKswapd(m);
    this.#khugepaged?.run(nowNs);
    this.#kcompactd?.run(nowNs);
    m.events.returnToUser?.(m, mm, nowNs);
  }
}

class Vm {
  readonly #guest: Side;
  readonly #host: Side;
  readonly #settings: GuestHugeSettings;
  readonly #random: Random;
  readonly #program: Process;
  /** The guest as the host sees it. */
  readonly #process: Process;
  readonly #backed: Uint8Array;

  constructor(guest: Side, host: Side, settings: GuestHugeSettings, random: Random) {
    this.#guest = guest;
    this.#host = host;
    this.#settings = settings;
    this.#random = random;
    host.fragment(settings.hostFragmentMiB);
    this.#process = host.spawn(PID, settings.guestMiB);
    this.#backed = new Uint8Array(settings.guestMiB * MIB_PAGES);
    guest.fragment(settings.guestFragmentMiB);
    this.#program = guest.spawn(PID, settings.programMiB);
    this.#tick(0);
  }

  /** The program fills its memory, 1 MiB after the other. */
  fill(): void {
    const { programMiB } = this.#settings;
    for (let mib = 0; mib < programMiB; mib++) {
      this.#program.touch(AT + mib * 2 ** 20, true, MIB_PAGES);
      this.#back();
      this.#tick((mib + 1) / programMiB);
    }
  }

  work(second: number): void {
    const { accesses, programMiB } = this.#settings;
    const { machine } = this.#guest.system;
    for (let i = 0; i < accesses; i++) {
      const page = AT / PAGE_BYTES + this.#random.below(programMiB * MIB_PAGES);
      this.#program.touch(page * PAGE_BYTES, false);
      const frame = mappedFrame(machine, this.#program.mm, page);
      this.#process.touch(AT + frame * PAGE_BYTES, false);
    }
    this.#tick(1 + second);
  }

  outcome(): GuestHugeOutcome {
    const guest = this.#guest.system.machine;
    const host = this.#host.system.machine;
    const pages = { both: 0, guestOnly: 0, hostOnly: 0, neither: 0 };
    let loads = 0;
    for (let i = 0; i < this.#settings.programMiB * MIB_PAGES; i++) {
      const page = AT / PAGE_BYTES + i;
      const frame = mappedFrame(guest, this.#program.mm, page);
      const isGuest = isMappedHuge(guest, this.#program.mm, page);
      const isHost = isMappedHuge(host, this.#process.mm, AT / PAGE_BYTES + frame);
      if (isGuest) pages[isHost ? 'both' : 'guestOnly'] += 1;
      else pages[isHost ? 'hostOnly' : 'neither'] += 1;
      loads += nestedLoads(isGuest, isHost);
    }
    const all = this.#settings.programMiB * MIB_PAGES;
    return {
      both: pages.both / MIB_PAGES,
      guestOnly: pages.guestOnly / MIB_PAGES,
      hostOnly: pages.hostOnly / MIB_PAGES,
      neither: pages.neither / MIB_PAGES,
      loads: Number((loads / all).toFixed(2)),
      entries: pages.both / SLOT_PAGES + (all - pages.both),
    };
  }

  #tick(seconds: number): void {
    const nowNs = seconds * NS_PER_SECOND;
    this.#guest.tick(this.#program.mm, nowNs);
    this.#back();
    this.#host.tick(this.#process.mm, nowNs);
  }

  /** The host backs each frame that the guest has put to use: it was written. */
  #back(): void {
    const { machine } = this.#guest.system;
    for (let frame = 0; frame < this.#backed.length; frame++) {
      if (this.#backed[frame] === 1) continue;
      const use = frameUse(machine, frame);
      if (use === 'free' || use === 'pcp' || use === 'absent') continue;
      this.#backed[frame] = 1;
      this.#process.touch(AT + frame * PAGE_BYTES, true);
    }
  }
}

/** (g + 1) (h + 1) - 1, where a huge page saves a level. */
function nestedLoads(isGuestHuge: boolean, isHostHuge: boolean): number {
  const guest = LEVELS - (isGuestHuge ? 1 : 0);
  const host = LEVELS - (isHostHuge ? 1 : 0);
  return (guest + 1) * (host + 1) - 1;
}
