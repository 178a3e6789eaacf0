import type { SlotKind, SpacePicture } from '../../lab/index.ts';

/** A tile stands for `slots` neighbouring slots: one, or a power of two where there are too many. */
export interface Tile {
  /** Number of the first slot. */
  first: number;
  x: number;
  y: number;
}

export interface Block {
  kind: SlotKind;
  y: number;
  tiles: Tile[];
}

/** Where each tile stands: the same for all kernels, so that the eye can compare. */
export interface Layout {
  blocks: Block[];
  /** Slots that one tile stands for. */
  slots: number;
  /** From one tile to the next. */
  step: number;
  width: number;
  height: number;
}

/** What a tile shows of one kernel. */
export interface TileState {
  tables: number;
  empty: number;
  /** Present pages. */
  present: number;
}

/** Tiles are big while they are few. */
const STEP_BIG = 15;
const STEP_SMALL = 10;
const BIG_TILES_MAX = 300;
/** Between tiles whose addresses do not follow each other. */
const GAP = 4;
const WIDTH = 340;
const LABEL = 17;
const TILES_MAX = 1400;
const TILES_OF_ALL_MAX = 4200;

const KINDS: readonly SlotKind[] = ['heap', 'anon', 'shmem', 'file', 'stack'];

export function layoutOf(pictures: readonly SpacePicture[]): Layout {
  const slots = slotsOfTile(pictures);
  const kinds = new Map<number, SlotKind>();
  for (const { runs } of pictures) {
    for (const run of runs) {
      const last = Math.floor((run.first + run.slots - 1) / slots);
      for (let tile = Math.floor(run.first / slots); tile <= last; tile++) {
        if (!kinds.has(tile)) kinds.set(tile, run.kind);
      }
    }
  }
  const numbers = [...kinds.keys()].sort((a, b) => a - b);
  const step = numbers.length <= BIG_TILES_MAX ? STEP_BIG : STEP_SMALL;
  const blocks: Block[] = [];
  let y = 0;
  for (const kind of KINDS) {
    const own = numbers.filter((tile) => kinds.get(tile) === kind);
    if (own.length === 0) continue;
    const block = placed(own, kind, y, slots, step);
    blocks.push(block);
    y = (block.tiles.at(-1)?.y ?? y) + step + 6;
  }
  return { blocks, slots, step, width: WIDTH, height: y };
}

function placed(
  tiles: readonly number[],
  kind: SlotKind,
  top: number,
  slots: number,
  step: number,
): Block {
  const block: Block = { kind, y: top + 11, tiles: [] };
  let x = 0;
  let y = top + LABEL;
  for (const [at, tile] of tiles.entries()) {
    if (at > 0 && tiles[at - 1] !== tile - 1) x += GAP;
    if (x + step - 1 > WIDTH) {
      x = 0;
      y += step;
    }
    block.tiles.push({ first: tile * slots, x, y });
    x += step;
  }
  return block;
}

/** The smallest power of two with which no picture has too many tiles. */
function slotsOfTile(pictures: readonly SpacePicture[]): number {
  const max = Math.min(TILES_MAX, Math.floor(TILES_OF_ALL_MAX / Math.max(1, pictures.length)));
  for (let slots = 1; ; slots *= 2) {
    const tiles = pictures.map(({ runs }) => tilesOf(runs, slots));
    if (Math.max(0, ...tiles) <= max || slots >= 2 ** 40) return slots;
  }
}

function tilesOf(runs: SpacePicture['runs'], slots: number): number {
  let tiles = 0;
  let last = -1;
  for (const run of runs) {
    const to = Math.floor((run.first + run.slots - 1) / slots);
    tiles += to - Math.max(Math.floor(run.first / slots), last + 1) + 1;
    last = to;
  }
  return tiles;
}

/** The state of each tile that has a table under this kernel, by the tile's first slot. */
export function tileStates(picture: SpacePicture, slots: number): Map<number, TileState> {
  const states = new Map<number, TileState>();
  for (const run of picture.runs) {
    const end = run.first + run.slots;
    for (let at = run.first; at < end; ) {
      const first = Math.floor(at / slots) * slots;
      const to = Math.min(first + slots, end);
      const state = states.get(first) ?? { tables: 0, empty: 0, present: 0 };
      state.tables += to - at;
      state.present += (to - at) * run.present;
      if (run.isEmpty) state.empty += to - at;
      states.set(first, state);
      at = to;
    }
  }
  return states;
}
