import { closeSync, openSync, readSync } from 'node:fs';
import { CapabilityError, Errno, errnoName } from '../base/index.ts';
import { libc } from './libc.ts';

/** What /proc/PID says of one process; the files stay open, so that a look costs one read each. */

export interface Status {
  readonly vmPteKiB: number;
  readonly rssAnonKiB: number;
  readonly rssFileKiB: number;
  readonly rssShmemKiB: number;
  readonly vmSwapKiB: number;
}

export interface PageCounts {
  /** Entries with the present bit: also the zero page, and pages under PROT_NONE. */
  readonly present: number;
  /** Entries that are swap entries, guard markers among them. */
  readonly swapped: number;
}

/** One line of /proc/PID/maps. */
export interface MapsEntry {
  readonly startAddr: number;
  readonly endAddr: number;
  /** The four letters, `rw-p`. */
  readonly permissions: string;
  readonly offset: number;
  readonly inode: number;
  readonly name: string;
}

const PAGEMAP_SCAN = 0xc0606610;
const SCAN_ARGUMENT_BYTES = 96;
const PAGE_IS_PRESENT = 1n << 3n;
const PAGE_IS_SWAPPED = 1n << 4n;
const REGION_BYTES = 24;
/** At most 512 regions a call: with more, walk_end can come back too small (kernel quirk). */
const REGIONS_MAX = 512;

const PAGE_BYTES = 4096;

export class ProcFiles {
  readonly #statusFd: number;
  readonly #pagemapFd: number;
  readonly #mapsFd: number;
  readonly #rollupFd: number;
  #text: Buffer = Buffer.allocUnsafe(1 << 16);
  readonly #scan: Buffer = Buffer.alloc(SCAN_ARGUMENT_BYTES);
  readonly #regions: Buffer = Buffer.alloc(REGIONS_MAX * REGION_BYTES);
  readonly #regionsAddr: bigint;

  constructor(pid: number) {
    this.#statusFd = openSync(`/proc/${pid}/status`, 'r');
    this.#pagemapFd = openSync(`/proc/${pid}/pagemap`, 'r');
    this.#mapsFd = openSync(`/proc/${pid}/maps`, 'r');
    this.#rollupFd = openSync(`/proc/${pid}/smaps_rollup`, 'r');
    this.#regionsAddr = BigInt(libc().addressOf(this.#regions));
  }

  close(): void {
    for (const fd of [this.#statusFd, this.#pagemapFd, this.#mapsFd, this.#rollupFd]) closeSync(fd);
  }

  status(): Status {
    const length = readSync(this.#statusFd, this.#text, 0, this.#text.length, 0);
    const text = this.#text.toString('latin1', 0, length);
    return {
      vmPteKiB: statusField(text, '\nVmPTE:'),
      rssAnonKiB: statusField(text, '\nRssAnon:'),
      rssFileKiB: statusField(text, '\nRssFile:'),
      rssShmemKiB: statusField(text, '\nRssShmem:'),
      vmSwapKiB: statusField(text, '\nVmSwap:'),
    };
  }

  /** AnonHugePages; the kernel goes through all page tables for it. */
  anonHugeKiB(): number {
    const length = readSync(this.#rollupFd, this.#text, 0, this.#text.length, 0);
    return statusField(this.#text.toString('latin1', 0, length), '\nAnonHugePages:');
  }

  /** How many pages of [startAddr, endAddr) have an entry, by PAGEMAP_SCAN (Linux 6.7). */
  pages(startAddr: number, endAddr: number): PageCounts {
    let present = 0;
    let swapped = 0;
    let from = BigInt(startAddr);
    const end = BigInt(endAddr);
    while (from < end) {
      const count = this.#scanOnce(from, end);
      for (let at = 0; at < count * REGION_BYTES; at += REGION_BYTES) {
        const bytes =
          Number(this.#regions.readBigUInt64LE(at + 8)) - Number(this.#regions.readBigUInt64LE(at));
        const isPresent = (this.#regions.readUInt32LE(at + 16) & Number(PAGE_IS_PRESENT)) !== 0;
        if (isPresent) present += bytes / PAGE_BYTES;
        else swapped += bytes / PAGE_BYTES;
      }
      const walkEnd = this.#scan.readBigUInt64LE(32);
      const lastEnd =
        count > 0 ? this.#regions.readBigUInt64LE((count - 1) * REGION_BYTES + 8) : 0n;
      from = walkEnd > lastEnd ? walkEnd : lastEnd;
    }
    return { present, swapped };
  }

  #scanOnce(from: bigint, end: bigint): number {
    const scan = this.#scan;
    scan.writeBigUInt64LE(BigInt(SCAN_ARGUMENT_BYTES), 0); // size
    scan.writeBigUInt64LE(0n, 8); // flags
    scan.writeBigUInt64LE(from, 16); // start
    scan.writeBigUInt64LE(end, 24); // end
    scan.writeBigUInt64LE(0n, 32); // walk_end, an output
    scan.writeBigUInt64LE(this.#regionsAddr, 40); // vec
    scan.writeBigUInt64LE(BigInt(REGIONS_MAX), 48); // vec_len
    scan.writeBigUInt64LE(0n, 56); // max_pages
    scan.writeBigUInt64LE(0n, 64); // category_inverted
    scan.writeBigUInt64LE(0n, 72); // category_mask
    scan.writeBigUInt64LE(PAGE_IS_PRESENT | PAGE_IS_SWAPPED, 80); // category_anyof_mask
    scan.writeBigUInt64LE(PAGE_IS_PRESENT | PAGE_IS_SWAPPED, 88); // return_mask
    const count = libc().ioctl(this.#pagemapFd, PAGEMAP_SCAN, scan);
    if (count >= 0) return count;
    const errno = libc().errno();
    if (errno === 25 || errno === Errno.EINVAL) {
      throw new CapabilityError(
        'the kernel lacks ioctl PAGEMAP_SCAN: Linux 6.7 or later is needed',
      );
    }
    throw new Error(`PAGEMAP_SCAN: ${errnoName(errno)}`);
  }

  /** The mappings that touch [startAddr, endAddr), in order of address, not cut to it. */
  maps(startAddr: number, endAddr: number): MapsEntry[] {
    const found: MapsEntry[] = [];
    for (const line of this.#mapsText().split('\n')) {
      if (line === '') continue;
      const dash = line.indexOf('-');
      const lineStart = Number.parseInt(line.slice(0, dash), 16);
      if (lineStart >= endAddr) break;
      const lineEnd = Number.parseInt(line.slice(dash + 1, line.indexOf(' ')), 16);
      if (lineEnd > startAddr) found.push(parseMapsLine(line, lineStart, lineEnd));
    }
    return found;
  }

  /** The whole file: a read returns at most a page of lines, so reads go on until nothing comes. */
  #mapsText(): string {
    let length = 0;
    for (;;) {
      if (this.#text.length - length < 8192) {
        this.#text = Buffer.concat([this.#text, Buffer.allocUnsafe(this.#text.length)]);
      }
      const got = readSync(this.#mapsFd, this.#text, length, this.#text.length - length, length);
      if (got === 0) return this.#text.toString('latin1', 0, length);
      length += got;
    }
  }
}

function statusField(text: string, key: string): number {
  const at = text.indexOf(key);
  return at < 0 ? 0 : Number.parseInt(text.slice(at + key.length, at + key.length + 16), 10);
}

/** `7f00-7f01 rw-p 00000000 00:01 5   name` */
function parseMapsLine(line: string, startAddr: number, endAddr: number): MapsEntry {
  const [, permissions = '', offset = '0', , inode = '0', ...name] = line.split(/ +/);
  return {
    startAddr,
    endAddr,
    permissions,
    offset: Number.parseInt(offset, 16),
    inode: Number(inode),
    name: name.join(' '),
  };
}
