import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
  Random,
} from '../../src/base/index.ts';
import {
  type MachineOptions,
  OBJECT_FILE,
  OBJECT_KERNEL,
  OBJECT_SHMEM,
  occupancyOf,
  type Process,
  punchObject,
  System,
} from '../../src/engine/index.ts';

/**
 * A random history of system calls and touches of a few processes, by seed: two systems that get the
 * same seed do the same. What a program or /proc can see of each step is its outcome.
 */
const PAGE = 4096;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
export const SPACE_AT = 0x100000000000;
const SPACE_PAGES = GIB / PAGE;
const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;

export class History {
  readonly system: System;
  readonly random: Random;
  readonly #objects: number[];
  #nextPid = 1;

  constructor(options: MachineOptions, seed: number, attach: (system: System) => void) {
    this.system = new System(options);
    attach(this.system);
    this.random = new Random(seed);
    this.#objects = [
      this.system.createObject(OBJECT_SHMEM, 64 * MIB),
      this.system.createObject(OBJECT_FILE, 64 * MIB),
      this.system.createObject(OBJECT_KERNEL, 4 * PAGE),
    ];
    for (let i = 0; i < 3; i++) this.#spawn();
  }

  get processes(): Process[] {
    return [...this.system.processes()];
  }

  #spawn(): void {
    const process = this.system.spawn(this.#nextPid++);
    process.mmap(SPACE_AT, GIB / 2, RW, ANON);
    const flags = MAP_SHARED | MAP_FIXED;
    process.mmap(SPACE_AT + GIB / 2, 64 * MIB, RW, flags, this.#objects[0]);
    process.mmap(
      SPACE_AT + GIB / 2 + 64 * MIB,
      64 * MIB,
      RW,
      MAP_PRIVATE | MAP_FIXED,
      this.#objects[1],
    );
    process.mmap(SPACE_AT - 4 * PAGE, 4 * PAGE, PROT_READ, flags, this.#objects[2]);
  }

  /** One step; what could be seen of it. */
  step(): unknown[] {
    const { random } = this;
    if (this.processes.length === 0) this.#spawn();
    const process = random.pick(this.processes);
    const roll = random.below(100);
    if (roll < 45) return ['touch', this.#touch(process)];
    if (roll < 60) return ['advise', this.#advise(process)];
    if (roll < 68) return ['munmap', process.munmap(...this.#range(2000))];
    if (roll < 78) return ['mmap', this.#mmap(process)];
    if (roll < 84) return ['mremap', this.#mremap(process)];
    if (roll < 88) return ['mprotect', process.mprotect(...this.#range(400), random.pick([1, 3]))];
    if (roll < 90) return ['punch', this.#punch()];
    if (roll < 94) return ['fork', this.#fork(process)];
    if (roll < 95) return ['mlock', process.mlock(...this.#range(20))];
    if (this.processes.length > 2) this.system.exit(process);
    return ['exit', process.pid];
  }

  /** What every process can see. */
  state(): unknown[] {
    const m = this.system.machine;
    const first = SPACE_AT / PAGE;
    return this.processes.map((process) => [
      process.pid,
      process.counters(),
      occupancyOf(m, process.mm, first, first + SPACE_PAGES),
    ]);
  }

  #range(most: number): [addr: number, len: number] {
    const first = this.random.below(SPACE_PAGES);
    const count = 1 + this.random.below(Math.min(most, SPACE_PAGES - first));
    return [SPACE_AT + first * PAGE, count * PAGE];
  }

  #touch(process: Process): number {
    const { random } = this;
    const [addr, len] = this.#range(random.pick([16, 600, 20_000]));
    const stride = random.pick([1, 1, 3, 512]);
    const isWrite = random.chance(0.7);
    if (random.chance(0.05)) return process.touch(SPACE_AT - 4 * PAGE, false, 4);
    return process.touch(addr, isWrite, Math.ceil(len / PAGE / stride), stride * PAGE);
  }

  #advise(process: Process): number {
    const advice = this.random.pick([MADV_DONTNEED, MADV_FREE, MADV_PAGEOUT, MADV_COLD]);
    return process.madvise(...this.#range(advice === MADV_DONTNEED ? 4000 : 300), advice);
  }

  #mmap(process: Process): number {
    const [addr, len] = this.#range(2000);
    const object = this.random.pick([0, 0, ...this.#objects.slice(0, 2)]);
    if (object === 0) return process.mmap(addr, len, RW, ANON);
    const flags = this.random.pick([MAP_SHARED, MAP_PRIVATE]) | MAP_FIXED;
    return process.mmap(addr, len, RW, flags, object, this.random.below(8000) * PAGE);
  }

  #mremap(process: Process): number {
    const [from, len] = this.#range(1500);
    const [to] = this.#range(1);
    return process.mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
  }

  #punch(): number {
    const first = this.random.below(16_000);
    punchObject(this.system.machine, this.#objects[0] as number, first, first + 200);
    return first;
  }

  #fork(process: Process): number {
    if (this.processes.length > 5) return 0;
    return this.system.fork(process, this.#nextPid++)?.pid ?? -1;
  }
}
