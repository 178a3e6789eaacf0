import { Errno, MAP_FIXED, MAP_SHARED } from '../../../base/index.ts';
import type { Process, System } from '../../system.ts';
import { attachMshare } from './index.ts';
import {
  REGION_ANNOUNCED,
  regionAdvise,
  regionCreate,
  regionMap,
  regionOrphan,
  regionProtect,
  regionPut,
  regionSetSize,
  regionUnmap,
} from './region.ts';

/**
 * mshare as announced at LSFMM+BPF in May 2026 ("Revisiting mshare", LWN 1072333): a family of system
 * calls on a descriptor, no file system. What the parameters are called is LWN's guess; the rest of the
 * rules are the core's (region.ts).
 */
export const MSHARE_CLOEXEC = 0o2000000;

/** A region's descriptor, as many processes may hold it. */
export class MshareHandle {
  readonly #system: System;
  readonly #owner: Process;
  /** The region; 0 once the owner closed it. The owner's exit closes it too. */
  region: number;

  private constructor(system: System, owner: Process, region: number) {
    this.#system = system;
    this.#owner = owner;
    this.region = region;
  }

  /** mshare_create(flags): a handle, or a negative errno. */
  static create(system: System, owner: Process, flags = 0): MshareHandle | number {
    if ((flags & ~MSHARE_CLOEXEC) !== 0) return -Errno.EINVAL;
    const flavor = attachMshare(system.machine);
    const region = regionCreate(system.machine, flavor, owner.pid, owner.mm, REGION_ANNOUNCED);
    return region < 0 ? region : new MshareHandle(system, owner, region);
  }

  /** ftruncate(2), once. */
  ftruncate(bytes: number): number {
    return this.#isOpen ? regionSetSize(this.#machine, this.region, bytes) : -Errno.EBADF;
  }

  /** mshare_attach: a window onto aligned bytes of the region; its address. `addr` 0: the kernel's choice. */
  attach(process: Process, offset: number, size: number, addr = 0): number {
    if (!this.#isOpen) return -Errno.EBADF;
    const flags = MAP_SHARED | (addr === 0 ? 0 : MAP_FIXED);
    return process.mmap(addr, size, 0, flags, this.region, offset);
  }

  /** mshare_map: `object` (0: anonymous memory) from its byte `objectOffset` on, seen by all. */
  map(
    offset: number,
    size: number,
    prot: number,
    flags: number,
    object = 0,
    objectOffset = 0,
  ): number {
    if (!this.#isOpen) return -Errno.EBADF;
    const how = flags | MAP_SHARED | MAP_FIXED;
    return regionMap(this.#machine, this.region, {
      regionOffset: offset,
      size,
      offset: objectOffset,
      prot,
      flags: how,
      object,
    });
  }

  unmap(offset: number, size: number): number {
    return this.#isOpen ? regionUnmap(this.#machine, this.region, offset, size) : -Errno.EBADF;
  }

  /** mshare_protect. */
  protect(offset: number, size: number, prot: number): number {
    return this.#isOpen
      ? regionProtect(this.#machine, this.region, offset, size, prot)
      : -Errno.EBADF;
  }

  /** mshare_advise. */
  advise(offset: number, size: number, advice: number): number {
    return this.#isOpen
      ? regionAdvise(this.#machine, this.region, offset, size, advice)
      : -Errno.EBADF;
  }

  /** close(2) by a process: where it is the owner the region is gone for everybody. */
  close(process: Process): void {
    if (!this.#isOpen || process !== this.#owner) return;
    regionOrphan(this.#machine, this.region);
    regionPut(this.#machine, this.region);
    this.region = 0;
  }

  get #machine(): System['machine'] {
    return this.#system.machine;
  }

  get #isOpen(): boolean {
    return this.region !== 0 && this.#owner.isAlive;
  }
}
