import type { SlotKind, SpacePicture } from '../../lab/index.ts';
import { formatCount, formatKiB, formatShare, formatShort, formatSize } from '../units.ts';
import { html, type Markup, nothing } from './markup.ts';
import { type Block, type Layout, layoutOf, type TileState, tileStates } from './space-layout.ts';

export interface KernelPicture {
  kernel: string;
  picture: SpacePicture;
}

const KIND_NAMES: Readonly<Record<SlotKind, string>> = {
  heap: 'heap (brk)',
  anon: 'anonymous mappings',
  shmem: 'shared memory',
  file: 'files and libraries',
  stack: 'stack',
};

/** The address space under each kernel, tile for tile at the same place. */
export function spaceSection(pictures: readonly KernelPicture[], moment: string): Markup {
  if (pictures.length === 0) return nothing;
  const layout = layoutOf(pictures.map(({ picture }) => picture));
  const [first] = pictures;
  const pages = first?.picture.slotPages ?? 512;
  const bytes = first?.picture.slotBytes ?? 0;
  const span = formatSize((bytes * layout.slots) / 1024);
  const tile =
    layout.slots === 1
      ? `A tile is one page table: ${span} of addresses, ${pages} pages.`
      : `A tile is ${span} of addresses: up to ${formatCount(layout.slots)} page tables of ${pages} pages.`;
  return html`<section><h2>Page tables of process ${first?.picture.pid ?? 0}, by address</h2>
<p>${moment} ${tile} Each tile stands at the same place under each kernel; a gap means that
addresses do not follow each other.</p>
${tileLegend(layout)}
<div class="spaces">${pictures.map((one) => panel(one, layout))}</div></section>`;
}

function tileLegend({ slots }: Layout): Markup {
  const entries = [
    ['e', slots === 1 ? 'empty table' : 'only empty tables'],
    ['u1', 'up to 25 % of pages present'],
    ['u2', 'up to 50 %'],
    ['u3', 'up to 75 %'],
    ['u4', 'less than 100 %'],
    ['u5', 'full'],
    ['n', 'no table under this kernel'],
  ] as const;
  const swatches = entries.map(
    ([name, text]) => html`<span><svg class="tiles" width="11" height="11" aria-hidden="true">
<rect class="${name}" x="1" y="1" width="9" height="9"/></svg>${text}</span>`,
  );
  return html`<p class="legend">${swatches}</p>`;
}

function panel({ kernel, picture }: KernelPicture, layout: Layout): Markup {
  const states = tileStates(picture, layout.slots);
  const all = sumOf([...states.values()]);
  const size = formatKiB(all.tables * 4);
  const empty = all.empty === 0 ? 'none empty' : `${formatCount(all.empty)} empty`;
  const summary = `${formatCount(all.tables)} tables (${size}), ${empty}`;
  const share =
    all.tables > 0 ? formatShare(all.present / (all.tables * picture.slotPages)) : '0 %';
  const blocks = layout.blocks.map((block) => blockOf(block, states, layout, picture));
  return html`<figure><figcaption><b>${kernel}</b><br>${summary}</figcaption>
<svg class="tiles" role="img" width="${layout.width}" height="${layout.height}" viewBox="0 0 ${layout.width} ${layout.height}">
<title>Page tables under ${kernel}</title><desc>${summary}; ${share} of their entries are present pages.</desc>
${blocks}</svg></figure>`;
}

function blockOf(
  block: Block,
  states: ReadonlyMap<number, TileState>,
  layout: Layout,
  picture: SpacePicture,
): Markup {
  const own = sumOf(block.tiles.flatMap(({ first }) => states.get(first) ?? []));
  const empty = own.empty === 0 ? '' : `, ${formatShort(own.empty)} empty`;
  const tables = `${formatShort(own.tables)} table${own.tables === 1 ? '' : 's'}`;
  const tiles = block.tiles.map(({ first, x, y }) => {
    const state = states.get(first);
    const name = classOf(state, picture.slotPages);
    const title = titleOf(first, state, layout, picture);
    return html`<rect class="${name}" x="${x + 0.5}" y="${y}" width="${layout.step - 2}" height="${layout.step - 2}"><title>${title}</title></rect>`;
  });
  return html`<text x="0" y="${block.y}">${KIND_NAMES[block.kind]}: ${tables}${empty}</text>
${tiles}
`;
}

function classOf(state: TileState | undefined, slotPages: number): string {
  if (state === undefined) return 'n';
  if (state.empty === state.tables) return 'e';
  const use = state.present / ((state.tables - state.empty) * slotPages);
  return use >= 1 ? 'u5' : `u${Math.min(4, Math.floor(use * 4) + 1)}`;
}

function titleOf(
  first: number,
  state: TileState | undefined,
  layout: Layout,
  { slotBytes, slotPages }: SpacePicture,
): string {
  const address = `0x${(first * slotBytes).toString(16)}`;
  if (state === undefined) return `${address}: no table`;
  if (state.empty === state.tables) {
    return state.tables === 1 ? `${address}: empty` : `${address}: ${state.tables} empty tables`;
  }
  const pages = `${state.present} of ${state.tables * slotPages} pages`;
  if (layout.slots === 1) return `${address}: ${pages}`;
  return `${address}: ${state.tables} tables, ${state.empty} empty, ${pages}`;
}

function sumOf(states: readonly TileState[]): TileState {
  const sum: TileState = { tables: 0, empty: 0, present: 0 };
  for (const { tables, empty, present } of states) {
    sum.tables += tables;
    sum.empty += empty;
    sum.present += present;
  }
  return sum;
}
