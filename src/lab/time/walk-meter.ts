import { AddressBatch } from '../../base/index.ts';
import { type Hardware, type HardwareWishes, makeHardware } from '../hardware/hardware.ts';

const PAGE_BYTES = 4096;

/**
 * Translations of one process on a core of its own: what its touches cost in the TLBs and page walks,
 * with the page sizes that its tables have at the moment. Other accesses of the program, which a trace
 * does not have, would mostly hit; they cost nothing here.
 */
export class WalkMeter {
  readonly #hardware: Hardware;
  readonly #batch: AddressBatch;
  readonly #l2Cycles: number;
  #cycles = 0;

  /** `isHugeAt`: whether the page of that number is part of a huge mapping now. */
  constructor(wishes: HardwareWishes, isHugeAt: (page: number) => boolean) {
    this.#hardware = makeHardware({ ...wishes, isHugeAt });
    const { granuleBytes, translator, constants } = this.#hardware;
    this.#batch = new AddressBatch(granuleBytes, translator.merging);
    this.#l2Cycles = constants.find(({ name }) => name === 'tlbL2Cycles')?.value ?? 0;
  }

  /** One touch of a page. */
  touch(page: number): void {
    const { granuleBytes } = this.#hardware;
    if (this.#batch.isFull(1)) this.#run();
    this.#batch.addGranule((page * PAGE_BYTES) / granuleBytes);
  }

  /** Cycles of the touches since the last call. */
  takeCycles(): number {
    this.#run();
    const total = this.#totalCycles();
    const cycles = total - this.#cycles;
    this.#cycles = total;
    return cycles;
  }

  #run(): void {
    this.#hardware.translator.run(this.#batch);
    this.#batch.clear();
  }

  #totalCycles(): number {
    const { translator, costs } = this.#hardware;
    const { walker } = translator;
    const [l1d = 0, l2 = 0, l3 = 0, dram = 0] = walker.served;
    let cycles =
      l1d * costs.l1dCycles + l2 * costs.l2Cycles + l3 * costs.l3Cycles + dram * costs.dramCycles;
    for (const walks of walker.walks) cycles += walks * costs.walkCacheCycles;
    translator.structures.forEach(({ level }, at) => {
      if (level === 1) return;
      for (let c = 0; c < translator.sizes.bytes.length; c++) {
        cycles += translator.counts(at, c).hits * this.#l2Cycles;
      }
    });
    return cycles;
  }
}
