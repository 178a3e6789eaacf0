import { MappingSet } from './mapping-set.ts';

/** Bits of what was seen of a page that no recorded call had mapped. */
export const SEEN_READ = 1;
export const SEEN_WRITE = 2;
export const SEEN_EXEC = 4;
/** It was absent, and the process had not forked: so nothing had put the page there before. */
export const SEEN_ABSENT = 8;

/** A call on memory that no recorded call had mapped. */
export interface UncoveredCall {
  start: number;
  end: number;
  /** mprotect's new protection; -1 for other calls. */
  prot: number;
  timeNs: number;
}

export interface RecordedRange {
  start: number;
  end: number;
  timeNs: number;
}

/**
 * What a recording shows of a program image: all that exec (or whatever came before the recording)
 * had mapped and no recorded call did. Forked children share their parent's image.
 */
export class Image {
  readonly pid: number;
  /** The program, as sched_process_exec names it; '' if the image was there from the start. */
  readonly file: string;
  readonly timeNs: number;
  /** Position in the event list before which its layout belongs. */
  readonly position: number;
  /** Page number → SEEN_ bits. */
  readonly pages = new Map<number, number>();
  /** Page number → position of the first touch. */
  readonly firstTouch = new Map<number, number>();
  readonly calls: UncoveredCall[] = [];
  /** All that recorded calls ever mapped in it (not in its children). */
  readonly recorded: RecordedRange[] = [];
  /** Where the kernel cleared the rest of a segment's last page: what follows has no file. */
  readonly elfEnds: number[] = [];
  /** First instruction of the program itself: that of ld.so, or of a static program. */
  firstIp = 0;
  /** Position of its first fork; -1 while it has not forked. */
  firstFork = -1;
  heapStart = 0;

  constructor(pid: number, file: string, timeNs: number, position: number) {
    this.pid = pid;
    this.file = file;
    this.timeNs = timeNs;
    this.position = position;
  }

  seePage(page: number, bits: number, position: number): void {
    this.pages.set(page, (this.pages.get(page) ?? 0) | bits);
    if (!this.firstTouch.has(page)) this.firstTouch.set(page, position);
  }
}

/** The address space of one process, or of a vfork's child and its parent together. */
export class Space {
  readonly mappings: MappingSet;
  readonly image: Image;
  heapStart: number;
  breakAt: number;

  constructor(image: Image, from?: Space) {
    this.image = image;
    this.mappings = from === undefined ? new MappingSet() : from.mappings.clone();
    this.heapStart = from?.heapStart ?? 0;
    this.breakAt = from?.breakAt ?? 0;
  }
}
