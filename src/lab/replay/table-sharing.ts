import { Errno, MAP_FIXED, MAP_SHARED } from '../../base/index.ts';
import {
  type MORSEL_SPANS,
  Morsel,
  type MshareFile,
  MshareFs,
  O_CREAT,
  type Process,
  type System,
} from '../../engine/index.ts';
import type { TraceEvent } from '../../trace/index.ts';

/** What a kernel makes of a mapping with `share_tables`; undefined: an ordinary one. */
export interface TableSharer {
  mmap(process: Process, event: TraceEvent, object: number, bytes: number): number | undefined;
  /** Bytes of the window at an address, which goes as a whole; 0 where there is none. */
  windowBytes(pid: number, addr: number): number;
}

/** The way of the kernel's mechanism; null where it has none. */
export function tableSharerOf(system: System): TableSharer | null {
  const names = system.machine.windowOps.map(({ name }) => name);
  if (names.includes('mshare')) return new MshareSharer(system);
  return names.includes('morsels') ? new MorselSharer(system) : null;
}

class Windows {
  readonly #bytes = new Map<string, number>();

  made(pid: number, addr: number, bytes: number): number {
    if (addr >= 0) this.#bytes.set(`${pid}:${addr}`, bytes);
    return addr;
  }

  bytesAt(pid: number, addr: number): number {
    return this.#bytes.get(`${pid}:${addr}`) ?? 0;
  }
}

/**
 * mshare as posted: the first process that maps the object makes a region, and owns it; the object is mapped
 * into it from its start. A mapping's window is the whole region, so it must begin where the object's first
 * byte would lie at a multiple of the alignment.
 */
class MshareSharer implements TableSharer {
  readonly #fs: MshareFs;
  readonly #windows = new Windows();
  readonly #align: number;

  constructor(system: System) {
    this.#fs = new MshareFs(system);
    this.#align = Number(this.#fs.readInfo());
  }

  mmap(process: Process, event: TraceEvent, object: number, bytes: number): number | undefined {
    const base = event.addr - event.off;
    if (base < 0 || base % this.#align !== 0) return undefined;
    const file = this.#open(process, event, object, bytes);
    if (typeof file === 'number') return file;
    const at = process.mmap(base, file.size, event.prot, MAP_SHARED | MAP_FIXED, file.region);
    file.close();
    this.#windows.made(process.pid, event.addr, this.#sizeFor(bytes));
    return at < 0 ? at : event.addr;
  }

  windowBytes(pid: number, addr: number): number {
    return this.#windows.bytesAt(pid, addr);
  }

  #sizeFor(bytes: number): number {
    return Math.ceil(bytes / this.#align) * this.#align;
  }

  #open(process: Process, event: TraceEvent, object: number, bytes: number): MshareFile | number {
    const name = event.file.replaceAll('/', '_');
    const found = this.#fs.open(process, name, 0);
    if (typeof found !== 'number' || found !== -Errno.ENOENT) return found;
    const file = this.#fs.open(process, name, O_CREAT);
    if (typeof file === 'number') return file;
    const sized = file.ftruncate(this.#sizeFor(bytes));
    const mapped = file.createMapping({
      regionOffset: 0,
      size: bytes,
      offset: 0,
      prot: event.prot,
      flags: MAP_SHARED | MAP_FIXED,
      object,
    });
    return sized < 0 ? sized : mapped < 0 ? mapped : file;
  }
}

/** A Morsel instead of the object, of the smallest span that holds it. */
class MorselSharer implements TableSharer {
  readonly #system: System;
  readonly #morsels = new Map<string, Morsel>();
  readonly #windows = new Windows();

  constructor(system: System) {
    this.#system = system;
  }

  mmap(process: Process, event: TraceEvent, _object: number, bytes: number): number | undefined {
    const span = spanFor(bytes);
    const base = event.addr - event.off;
    if (span === undefined) return undefined;
    let morsel = this.#morsels.get(event.file);
    if (morsel === undefined) {
      const made = Morsel.create(this.#system, span);
      if (typeof made === 'number') return made;
      morsel = made;
      this.#morsels.set(event.file, morsel);
    }
    if (base <= 0 || base % morsel.spanBytes !== 0) return undefined;
    const at = this.#windows.made(process.pid, event.addr, morsel.spanBytes);
    const mapped = morsel.map(process, base);
    return mapped < 0 ? mapped : at;
  }

  windowBytes(pid: number, addr: number): number {
    return this.#windows.bytesAt(pid, addr);
  }
}

function spanFor(bytes: number): keyof typeof MORSEL_SPANS | undefined {
  if (bytes <= 2 ** 21) return '2M';
  if (bytes <= 2 ** 30) return '1G';
  return bytes <= 2 ** 39 ? '512G' : undefined;
}
