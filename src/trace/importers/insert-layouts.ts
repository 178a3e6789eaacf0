import { PROT_READ, PROT_WRITE } from '../../base/index.ts';
import { PAGE_BYTES } from '../address.ts';
import type { EventList } from './event-list.ts';
import {
  clusters,
  type InterpreterTemplate,
  interpreterTemplate,
  layoutFromEvidence,
} from './evidence-layout.ts';
import { layoutFromMaps, pagesOutside } from './exec-layout.ts';
import type { FileNames } from './file-names.ts';
import type { Image } from './image.ts';
import { argumentTouches, layoutEvents, type Piece } from './layout.ts';
import type { MapsLine } from './maps-file.ts';

/** How long after the start the snapshot may have been taken: the samples' recorder waits 60 ms. */
const SNAPSHOT_LIMIT_NS = 160e6;

/** How an image's layout was found, for the header. */
export interface LayoutNote {
  pid: number;
  program: string;
  from: 'maps' | 'evidence';
  mappings: number;
}

/**
 * Puts before the events of each image what was mapped before any recorded call: from the snapshot
 * for the image that it shows, from the evidence of faults and calls for the others.
 */
export function insertLayouts(
  list: EventList,
  files: FileNames,
  images: readonly Image[],
  mainPid: number,
  maps: readonly MapsLine[],
): LayoutNote[] {
  const shown = findShownImage(images, mainPid, maps);
  const notes: LayoutNote[] = [];
  let template: InterpreterTemplate | null = null;
  if (shown !== undefined) {
    const untilNs = (images[0] as Image).timeNs + SNAPSHOT_LIMIT_NS;
    files.nameFromMaps(maps, mainPid, untilNs);
    const { pieces, attached } = layoutFromMaps(maps, shown, untilNs);
    template = interpreterTemplate(shown, pieces);
    insertAttached(list, shown, attached);
    const rest = unexplained(shown, [...pieces, ...attached]);
    notes.push(insertOne(list, shown, [...pieces, ...rest], 'maps'));
  }
  const running = shown === undefined ? findRunningImage(images, mainPid, maps) : undefined;
  if (running !== undefined) {
    files.nameFromMaps(maps, mainPid, running.timeNs + SNAPSHOT_LIMIT_NS);
    const pieces = maps.filter((line) => line.name !== '[vsyscall]').map(pieceOfLine);
    const rest = unexplained(running, pieces);
    notes.push(insertOne(list, running, [...pieces, ...rest], 'maps'));
  }
  for (const image of images) {
    if (image === shown || image === running) continue;
    notes.push(insertOne(list, image, layoutFromEvidence(image, template), 'evidence'));
  }
  return notes;
}

/** The main process's last image that begins in one of the files of the snapshot. */
function findShownImage(
  images: readonly Image[],
  mainPid: number,
  maps: readonly MapsLine[],
): Image | undefined {
  return images.findLast(
    (image) =>
      image.pid === mainPid &&
      maps.some(
        (line) => line.inode !== 0 && line.start <= image.firstIp && image.firstIp < line.end,
      ),
  );
}

/** The main process if it ran already and never did exec: the snapshot is its layout as it stands. */
function findRunningImage(
  images: readonly Image[],
  mainPid: number,
  maps: readonly MapsLine[],
): Image | undefined {
  const own = images.filter((image) => image.pid === mainPid);
  const isRunning = maps.length > 0 && own.length === 1 && own[0]?.file === '';
  return isRunning ? own[0] : undefined;
}

function pieceOfLine(line: MapsLine): Piece {
  return {
    start: line.start,
    end: line.end,
    prot: line.prot,
    file: line.name,
    off: line.inode === 0 ? 0 : line.off,
    isShared: line.isShared,
  };
}

function insertOne(
  list: EventList,
  image: Image,
  pieces: Piece[],
  from: 'maps' | 'evidence',
): LayoutNote {
  list.insertBefore(image.position, layoutEvents(image, pieces, from));
  const stack = pieces.find((piece) => piece.file === '[stack]');
  if (stack !== undefined && image.file !== '') {
    list.insertBefore(image.position, argumentTouches(image, stack));
  }
  return { pid: image.pid, program: image.file, from, mappings: pieces.length };
}

/** Memory that was touched but is neither in the snapshot nor mapped by a recorded call. */
function unexplained(image: Image, pieces: readonly Piece[]): Piece[] {
  return clusters(pagesOutside(image, pieces), 16).map((pages) => ({
    start: (pages[0] as number) * PAGE_BYTES,
    end: ((pages.at(-1) as number) + 1) * PAGE_BYTES,
    prot: PROT_READ | PROT_WRITE,
    file: '',
    off: 0,
    isShared: false,
  }));
}

/**
 * Shared memory attached by shmat, which is not recorded: as late as possible before its first touch
 * and the first fork (whose child has it too), so that what stood there before is gone.
 */
function insertAttached(list: EventList, image: Image, attached: readonly Piece[]): void {
  for (const piece of attached) {
    let position = image.firstFork >= 0 ? image.firstFork : list.length;
    for (let addr = piece.start; addr < piece.end; addr += PAGE_BYTES) {
      position = Math.min(position, image.firstTouch.get(addr / PAGE_BYTES) ?? position);
    }
    const events = layoutEvents(image, [piece], 'maps');
    for (const event of events) {
      event.extra = { attached: 'before' };
      event.timeNs = -1;
    }
    list.insertBefore(position, events);
  }
}
