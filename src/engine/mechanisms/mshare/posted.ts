import { Errno, MAP_ANONYMOUS, MAP_HUGETLB } from '../../../base/index.ts';
import { objectGet, objectSize } from '../../objects/object.ts';
import type { Process, System } from '../../system.ts';
import { attachMshare } from './index.ts';
import {
  REGION_POSTED,
  type RegionMapping,
  regionAlignmentPages,
  regionCreate,
  regionMap,
  regionPut,
  regionSetSize,
  regionUnmap,
} from './region.ts';

/**
 * mshare as posted (v3, Documentation/filesystems/msharefs.rst): msharefs at /sys/fs/mshare, a file for
 * each region, ioctls to map into it. Open files are handles here, so a process's table of descriptors is
 * the caller's matter.
 */
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
const O_ACCMODE = 3;
const INFO = 'mshare_info';

/** Who opens: file mode bits decide, as in any file system. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
}
const ROOT: Credentials = { uid: 0, gid: 0 };

interface Inode {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The region; 0 for a directory. */
  readonly region: number;
  readonly names: Map<string, Inode> | null;
  links: number;
}

/** The file system. Paths are below its mount point, without a leading slash. */
export class MshareFs {
  readonly #system: System;
  readonly #root: Inode = directory(0o777, ROOT);

  constructor(system: System) {
    this.#system = system;
  }

  /** What reading mshare_info gives: the alignment in bytes, decimal. */
  readInfo(): string {
    return `${regionAlignmentPages(this.#system.machine) * 4096}\n`;
  }

  /** open(2): a file, or a negative errno. With O_CREAT a new one is a region that `process` owns. */
  open(
    process: Process,
    path: string,
    flags: number,
    mode = 0o600,
    who: Credentials = ROOT,
  ): MshareFile | number {
    const place = this.#parentOf(path);
    if (typeof place === 'number') return place;
    const found = place.names.get(place.name);
    if (found !== undefined) {
      if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -Errno.EEXIST;
      if (found.names !== null) return -Errno.EISDIR;
      if (!mayOpen(found, flags & O_ACCMODE, who)) return -Errno.EACCES;
      return new MshareFile(this.#system, found.region);
    }
    if ((flags & O_CREAT) === 0) return -Errno.ENOENT;
    if (path === INFO) return -Errno.EEXIST;
    if (!mayOpen(place.parent, 1, who)) return -Errno.EACCES;
    const m = this.#system.machine;
    const region = regionCreate(m, attachMshare(m), process.pid, process.mm, REGION_POSTED);
    if (region < 0) return region;
    place.names.set(place.name, { mode, ...who, region, names: null, links: 1 });
    return new MshareFile(this.#system, region);
  }

  mkdir(path: string, mode = 0o755, who: Credentials = ROOT): number {
    const place = this.#parentOf(path);
    if (typeof place === 'number') return place;
    if (place.names.has(place.name) || path === INFO) return -Errno.EEXIST;
    if (!mayOpen(place.parent, 1, who)) return -Errno.EACCES;
    place.names.set(place.name, directory(mode, who));
    return 0;
  }

  /** link(2): another name for a region. */
  link(from: string, to: string): number {
    const source = this.#find(from);
    if (typeof source === 'number') return source;
    const place = this.#parentOf(to);
    if (typeof place === 'number') return place;
    if (source.names !== null) return -Errno.EPERM;
    if (place.names.has(place.name)) return -Errno.EEXIST;
    source.links += 1;
    place.names.set(place.name, source);
    return 0;
  }

  /** rename(2). mshare_info keeps its name. */
  rename(from: string, to: string): number {
    if (from === INFO || to === INFO) return -Errno.EPERM;
    const source = this.#find(from);
    if (typeof source === 'number') return source;
    const place = this.#parentOf(to);
    const old = this.#parentOf(from);
    if (typeof place === 'number') return place;
    if (typeof old === 'number') return old;
    const target = place.names.get(place.name);
    if (target === source) return 0;
    if (target !== undefined && target.names !== null) return -Errno.EEXIST;
    if (target !== undefined) this.#drop(target);
    old.names.delete(old.name);
    place.names.set(place.name, source);
    return 0;
  }

  /** unlink(2): the name goes; the region lives as long as it is open or mapped. */
  unlink(path: string): number {
    if (path === INFO) return -Errno.EPERM;
    const place = this.#parentOf(path);
    if (typeof place === 'number') return place;
    const found = place.names.get(place.name);
    if (found === undefined) return -Errno.ENOENT;
    if (found.names !== null) return -Errno.EISDIR;
    place.names.delete(place.name);
    this.#drop(found);
    return 0;
  }

  #drop(inode: Inode): void {
    inode.links -= 1;
    if (inode.links === 0) regionPut(this.#system.machine, inode.region);
  }

  #find(path: string): Inode | number {
    const place = this.#parentOf(path);
    if (typeof place === 'number') return place;
    return place.names.get(place.name) ?? -Errno.ENOENT;
  }

  #parentOf(path: string): { parent: Inode; names: Map<string, Inode>; name: string } | number {
    const parts = path.split('/');
    const name = parts.pop() as string;
    let parent = this.#root;
    for (const part of parts) {
      const next = parent.names?.get(part);
      if (next === undefined) return -Errno.ENOENT;
      if (next.names === null) return -Errno.ENOTDIR;
      parent = next;
    }
    if (name === '') return -Errno.ENOENT;
    return { parent, names: parent.names as Map<string, Inode>, name };
  }
}

/** An open region. */
export class MshareFile {
  readonly #system: System;
  /** The object to give to mmap(2); windows keep it after `close`. */
  readonly region: number;
  #isOpen = true;

  constructor(system: System, region: number) {
    this.#system = system;
    this.region = region;
    objectGet(system.machine, region);
  }

  ftruncate(bytes: number): number {
    return regionSetSize(this.#system.machine, this.region, bytes);
  }

  /** fallocate(2): another way to give the size; no mode, offset 0. */
  fallocate(mode: number, offset: number, bytes: number): number {
    if (mode !== 0) return -Errno.EOPNOTSUPP;
    if (offset !== 0) return -Errno.EINVAL;
    return this.ftruncate(bytes);
  }

  /** st_size of fstat(2). */
  get size(): number {
    return objectSize(this.#system.machine, this.region);
  }

  /** The file is for control: neither read(2) nor write(2). */
  read(): number {
    return -Errno.EINVAL;
  }

  /**
   * ioctl MSHAREFS_CREATE_MAPPING. What is mapped: `object` where the file descriptor would stand (0 with
   * MAP_ANONYMOUS). Pages of hugetlbfs are refused: the engine has none.
   */
  createMapping(what: RegionMapping): number {
    if ((what.flags & MAP_HUGETLB) !== 0) return -Errno.EINVAL;
    if ((what.object === 0) !== ((what.flags & MAP_ANONYMOUS) !== 0)) return -Errno.EBADF;
    return regionMap(this.#system.machine, this.region, what);
  }

  /** ioctl MSHAREFS_UNMAP. */
  unmap(regionOffset: number, size: number): number {
    return regionUnmap(this.#system.machine, this.region, regionOffset, size);
  }

  close(): void {
    if (this.#isOpen) regionPut(this.#system.machine, this.region);
    this.#isOpen = false;
  }
}

function directory(mode: number, who: Credentials): Inode {
  return { mode, ...who, region: 0, names: new Map(), links: 1 };
}

/** Mode bits against an access mode: 0 read, 1 write, 2 both. Root may always. */
function mayOpen(inode: Inode, access: number, who: Credentials): boolean {
  if (who.uid === 0) return true;
  const shift = who.uid === inode.uid ? 6 : who.gid === inode.gid ? 3 : 0;
  const wanted = access === 0 ? 4 : access === 1 ? 2 : 6;
  return ((inode.mode >> shift) & wanted) === wanted;
}
