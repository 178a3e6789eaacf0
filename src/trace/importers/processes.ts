import { Op } from '../event.ts';
import type { EventList } from './event-list.ts';
import { Image, Space } from './image.ts';

/** The processes of a recording, their address spaces, and their lives as events. */
export class Processes {
  readonly images: Image[] = [];
  readonly #list: EventList;
  readonly #spaces = new Map<number, Space>();
  readonly #dead = new Set<number>();

  constructor(list: EventList) {
    this.#list = list;
  }

  isDead(pid: number): boolean {
    return this.#dead.has(pid);
  }

  isAlive(pid: number): boolean {
    return this.#spaces.has(pid);
  }

  /** The space of a process that may be seen here for the first time. */
  space(pid: number, timeNs: number): Space {
    return this.#spaces.get(pid) ?? this.#newImage(pid, '', timeNs);
  }

  knownSpace(pid: number): Space | undefined {
    return this.#spaces.get(pid);
  }

  fork(parentPid: number, child: number, isVfork: boolean, tid: number, timeNs: number): void {
    const parent = this.space(parentPid, timeNs);
    // A number used again: the end of its first process was not recorded.
    this.exit(child, child, timeNs);
    this.#dead.delete(child);
    this.#spaces.set(child, isVfork ? parent : new Space(parent.image, parent));
    if (!isVfork && parent.image.firstFork < 0) parent.image.firstFork = this.#list.length;
    const flags = isVfork ? 1 : 0;
    this.#list.push({ op: Op.fork, pid: parentPid, tid, timeNs, child, flags });
  }

  exec(pid: number, file: string, tid: number, timeNs: number): void {
    this.#list.push({ op: Op.exec, pid, tid, timeNs, extra: { file } });
    this.#newImage(pid, file, timeNs);
  }

  exit(pid: number, tid: number, timeNs: number): void {
    if (!this.#spaces.has(pid)) return;
    this.#list.push({ op: Op.exit, pid, tid, timeNs });
    this.#spaces.delete(pid);
    this.#dead.add(pid);
  }

  #newImage(pid: number, file: string, timeNs: number): Space {
    const image = new Image(pid, file, timeNs, this.#list.length);
    this.images.push(image);
    const space = new Space(image);
    this.#spaces.set(pid, space);
    return space;
  }
}
