import { assert } from '../base/index.ts';
import { cgroupOf } from './cgroup/cgroup.ts';
import { isListed } from './cgroup/table-list.ts';
import {
  blockOf,
  F_MAPCOUNT,
  F_STATE,
  FRAME_WORDS,
  frameRecord,
  TYPE_MASK,
  TYPE_ZPOOL,
} from './frames/frame-record.ts';
import { mapCount } from './frames/map-count.ts';
import { blockExtent, EXTENT_TABLES } from './frames/pageblock.ts';
import { isKsm } from './ksm/ksm-page.ts';
import * as L from './layout.ts';
import type { Machine } from './machine.ts';
import { isShmem, O_NEXT, O_PAGES, O_SWAPPED } from './objects/object.ts';
import { RmapWalk } from './objects/rmap.ts';
import { swapSlotUsers } from './objects/swap.ts';
import {
  C_ANON,
  C_FILE,
  C_GUARD,
  C_HUGE,
  C_SHMEM,
  C_SPECIAL,
  C_SWAP,
  C_ZERO,
  MM_LOCK,
  MM_NEXT,
  MM_POOL_BYTES,
  MM_STORED_TABLES,
  MM_TOTAL_VM,
  MM_VMA_COUNT,
  MM_VMA_ENDS,
  mmCounter,
} from './space/mm.ts';
import { V_MM, V_OBJECT, vmaAt, vmaEnd, vmaLookup, vmaStart } from './space/vma.ts';
import {
  ENTRY_GUARD,
  ENTRY_NONE,
  ENTRY_OBJECT,
  ENTRY_PAGE,
  ENTRY_SPECIAL,
  ENTRY_SWAP,
  ENTRY_WRITE,
  ENTRY_ZERO,
  KIND_MASK,
} from './tables/entry.ts';
import { isHuge, isHugeZero } from './tables/huge-entry.ts';
import { entryFlags, entryWord } from './tables/leaf.ts';
import { isCountedLink, isLink, linksTo } from './tables/link.ts';
import {
  OWNER_EMPTY_TABLES,
  OWNER_GUEST,
  OWNER_KIND,
  OWNER_MM,
  OWNER_OBJECT,
  OWNER_ROOT,
  OWNER_TABLES,
} from './tables/owner.ts';
import {
  isOwnersEntry,
  isSharedTable,
  isSharedWord,
  R_INDEX,
  R_PARENT,
  sharedTableAt,
  sharerAt,
} from './tables/shared-entry.ts';
import { sharersInRing } from './tables/shared-table.ts';
import {
  closeOpened,
  markedTable,
  poolFrames,
  readStored,
  STORED_COMPRESSED,
  storedAt,
  storedFacts,
} from './tables/stored.ts';
import {
  FORM_DENSE,
  FORM_RUN,
  FORM_UNIFORM,
  T_CONTENTS,
  T_COUNT,
  T_DEAD,
  T_PARENT,
  T_PFN,
  T_STATE,
  tableForm,
  tableIndex,
  tableLevel,
} from './tables/table.ts';
import { TableImage } from './tables/table-image.ts';
import { sumRefs, T_BORN, T_COUNTED, T_FREEZING, T_QUEUED } from './tables/table-refs.ts';
import {
  UNIFORM_RUN,
  uniformBase,
  uniformFlags,
  uniformKind,
  uniformTablesPfn,
} from './tables/uniform.ts';
import { entrySpan } from './tables/walk.ts';
import { rssCounter } from './tables/zap.ts';
import { releaseDeferred } from './threads/grace.ts';
import { checkFrames } from './validate-frames.ts';

/**
 * Recomputes everything that the engine keeps a count of, from the entries and lists themselves,
 * and throws AssertionError at the first difference. For tests and after imports; it looks at every
 * entry and frame record.
 */
export function validateMachine(m: Machine): void {
  releaseDeferred(m);
  const tally = new Tally(m);
  for (let mm = m.words[L.H_MM_LIST]; mm !== 0; mm = m.words[mm + MM_NEXT]) tally.addSpace(mm);
  for (let o = m.words[L.H_OBJECT_LIST]; o !== 0; o = m.words[o + O_NEXT]) tally.addObject(o);
  for (let g = m.words[L.H_GUESTS]; g !== 0; g = m.words[g + MM_NEXT]) tally.addGuest(g);
  tally.checkLinks();
  tally.checkMappings();
  tally.checkSwap();
  tally.checkPool();
  tally.checkSharing();
  tally.checkCounts();
  checkFrames(m, tally);
}

const rmap = new RmapWalk();

/** What a walk over all trees finds. */
class Tally {
  readonly m: Machine;
  /** Times that each frame is mapped by entries of address spaces. */
  readonly maps = new Map<number, number>();
  readonly slotUsers = new Map<number, number>();
  /** Frames of tables and of objects' pages. */
  tableFrames = 0;
  objectFrames = 0;
  /** Frames that share counts must have an entry for. */
  counted = 0;
  windowTables = 0;
  windowPages = 0;
  /** Entries that lead into other owners' trees, by table. */
  readonly links = new Map<number, number>();
  /** Stored tables in each frame of the pool. */
  readonly poolObjects = new Map<number, number>();
  /** Of each shared table: the entries above that name it. */
  readonly sharers = new Map<number, { entries: number; ring: number; owners: number }>();
  readonly #image = new TableImage();

  constructor(m: Machine) {
    this.m = m;
  }

  addSpace(mm: number): void {
    const { m } = this;
    assert(m.words[mm + OWNER_KIND] === OWNER_MM, 'an address space on the list is none');
    assert(m.words[mm + MM_LOCK] === 0, 'mmap_lock is held');
    checkAreas(m, mm);
    const found = this.#walk(mm);
    const expect = (what: string, counted: number, kept: number): void => {
      assert(counted === kept, `${what}: ${counted} found, ${kept} kept`);
    };
    for (const counter of [C_ANON, C_FILE, C_SHMEM, C_SWAP, C_ZERO, C_SPECIAL, C_GUARD, C_HUGE]) {
      expect(`counter ${counter}`, found.counters[counter] ?? 0, mmCounter(m, mm, counter));
    }
    expect('stored tables', found.stored, m.words[mm + MM_STORED_TABLES]);
    expect('bytes of stored tables', found.poolBytes, m.words[mm + MM_POOL_BYTES]);
  }

  addGuest(guest: number): void {
    const found = this.#walk(guest);
    assert(found.stored === this.m.words[guest + MM_STORED_TABLES], "a guest's stored tables");
    assert(found.poolBytes === this.m.words[guest + MM_POOL_BYTES], "a guest's bytes in the pool");
  }

  addObject(object: number): void {
    const found = this.#walk(object);
    const { words } = this.m;
    assert(found.pages === words[object + O_PAGES], 'cached pages of an object');
    assert(
      (found.counters[C_SWAP] ?? 0) === words[object + O_SWAPPED],
      'swapped pages of an object',
    );
    this.objectFrames += found.pages;
  }

  #walk(owner: number): Found {
    const { m } = this;
    const found: Found = {
      tables: [0, 0, 0, 0, 0],
      empty: 0,
      pages: 0,
      counters: {},
      stored: 0,
      poolBytes: 0,
    };
    const root = m.words[owner + OWNER_ROOT];
    if (root !== 0) {
      assert(m.words[root + T_PARENT] === owner, "a root's owner");
      this.#walkTable(owner, root, 0, found);
    }
    for (let level = 0; level < 5; level++) {
      const kept = m.words[owner + OWNER_TABLES + level];
      const counted = found.tables[level] ?? 0;
      assert(counted === kept, `tables of level ${level}: ${counted} found, ${kept} kept`);
      this.tableFrames += counted;
    }
    const kept = m.words[owner + OWNER_EMPTY_TABLES];
    assert(found.empty === kept, `empty tables: ${found.empty} found, ${kept} kept`);
    return found;
  }

  #walkTable(owner: number, table: number, base: number, found: Found): void {
    const { m } = this;
    const level = tableLevel(m, table);
    assert(frameRecord(m, m.words[table + T_PFN]) === table, "a table's frame");
    found.tables[level] = (found.tables[level] ?? 0) + 1;
    if (level === 0) {
      checkReferences(m, table);
      this.#walkLeaf(owner, table, base, found);
      return;
    }
    if (level === 1 && m.words[L.H_STORED] !== 0 && m.words[owner + OWNER_KIND] !== OWNER_OBJECT) {
      assert(isListed(m, cgroupOf(m, owner), table), "a table is on its cgroup's list");
    }
    if (tableForm(m, table) === FORM_UNIFORM) {
      this.#walkUniform(owner, table, base, found);
      return;
    }
    let children = 0;
    const span = entrySpan(m, level);
    for (let i = 0; tableForm(m, table) === FORM_DENSE && i < m.entryCount; i++) {
      const word = m.words[m.words[table + T_CONTENTS] + i];
      if (word === 0) continue;
      children++;
      if (isLink(m, table, i)) {
        if (isCountedLink(m, table, i)) this.links.set(word, (this.links.get(word) ?? 0) + 1);
        continue;
      }
      if (isSharedWord(word)) {
        this.#walkShared(owner, table, i, word, base + i * span, found);
        continue;
      }
      const child = word > 0 ? word : markedTable(word);
      if (child === 0) {
        this.#walkStored(owner, table, i, storedAt(word), base + i * span, found);
        continue;
      }
      assert(
        level > 1 || !isSharedTable(m, child),
        'a table with sharers hangs as an ordinary one',
      );
      assert(m.words[child + T_PARENT] === table, "a table's parent");
      assert(tableIndex(m, child) === i, "a table's index");
      assert(tableLevel(m, child) === level - 1, "a table's level");
      this.#walkTable(owner, child, base + i * span, found);
    }
    assert(children === m.words[table + T_COUNT], `children: ${children} found`);
  }

  /** The entry of a sharer: the owner's leads to the entries, the others' must have areas for them. */
  #walkShared(
    owner: number,
    upper: number,
    index: number,
    word: number,
    base: number,
    found: Found,
  ): void {
    const { m } = this;
    const record = sharerAt(word);
    const table = sharedTableAt(m, word);
    const isHere = m.words[record + R_PARENT] === upper && m.words[record + R_INDEX] === index;
    assert(isHere, "a sharer's place above");
    assert(isSharedTable(m, table) && tableLevel(m, table) === 0, 'a shared table');
    const seen = this.sharers.get(table) ?? { entries: 0, ring: sharersInRing(m, word), owners: 0 };
    this.sharers.set(table, seen);
    seen.entries += 1;
    if (isOwnersEntry(m, upper, index, table)) {
      seen.owners += 1;
      this.#walkTable(owner, table, base, found);
      return;
    }
    for (let i = 0; i < m.entryCount; i++) {
      const isIn = entryFlags(m, table, i) === ENTRY_NONE || vmaLookup(m, owner, base + i) !== 0;
      assert(isIn, `a shared entry outside any area, page ${base + i}`);
    }
  }

  /** As many entries name a shared table as its count and its ring of sharers say; one is the owner's. */
  checkSharing(): void {
    const { m } = this;
    const { sharing } = m;
    let single = 0;
    for (const [table, { entries, ring, owners }] of this.sharers) {
      const kept = sharing?.counts.get(m.words[table + T_PFN]) ?? 0;
      assert(entries === kept, `sharers of a table: ${entries} found, ${kept} counted`);
      assert(entries === ring, `sharers of a table: ${entries} found, ${ring} in its ring`);
      assert(owners === 1, `owners of a shared table: ${owners}`);
      if (entries === 1) single++;
    }
    if (sharing === null) return;
    const shared = this.sharers.size - single;
    this.counted += shared;
    assert(sharing.work.sharedTables === shared, `shared tables: ${shared} found`);
  }

  #walkUniform(owner: number, table: number, base: number, found: Found): void {
    const { m } = this;
    assert(m.words[table + T_COUNT] === m.entryCount, 'a uniform table has all children');
    const tablesBlock = blockOf(m, uniformTablesPfn(m, table));
    assert(blockExtent(m, tablesBlock) === EXTENT_TABLES, "a uniform table's children");
    assert(m.words[tablesBlock + L.B_MAPPING] === table, "the way back from a table's children");
    found.tables[0] = (found.tables[0] ?? 0) + m.entryCount;
    if (uniformKind(m, table) !== UNIFORM_RUN) {
      found.empty += m.entryCount;
      return;
    }
    const flags = uniformFlags(m, table);
    for (let i = 0; i < m.loPages; i++) {
      this.#addEntry(owner, base + i, flags, uniformBase(m, table) + i, found);
    }
  }

  #walkStored(
    owner: number,
    parent: number,
    index: number,
    stored: number,
    base: number,
    found: Found,
  ): void {
    const { m } = this;
    const facts = storedFacts(m, stored);
    assert(facts.parent === parent && facts.index === index, "a stored table's place above");
    readStored(m, stored, this.#image);
    assert(this.#image.count === facts.count && facts.count > 0, "a stored table's entries");
    for (let i = 0; i < facts.count; i++) {
      const { index: at, flags, word } = this.#image;
      this.#addEntry(owner, base + (at[i] as number), flags[i] as number, word[i] as number, found);
    }
    found.stored += 1;
    if (facts.form === STORED_COMPRESSED) {
      found.poolBytes += facts.bytes;
      this.poolObjects.set(facts.place, (this.poolObjects.get(facts.place) ?? 0) + 1);
      const units = m.words[frameRecord(m, facts.place) + F_STATE] >> 8;
      assert(units === facts.units, "a stored table's room in its frame");
    } else {
      this.slotUsers.set(facts.place, (this.slotUsers.get(facts.place) ?? 0) + 1);
    }
  }

  /** Each frame of the pool has as many objects as tables name it. */
  checkPool(): void {
    const { m } = this;
    assert(m.opened.length === 0, 'a stored table is still open');
    for (const [pfn, objects] of this.poolObjects) {
      const rec = frameRecord(m, pfn);
      assert((m.words[rec + F_STATE] & TYPE_MASK) === TYPE_ZPOOL, 'a frame of the pool');
      assert(m.words[rec + F_MAPCOUNT] === objects, `objects in frame ${pfn}: ${objects} found`);
    }
    assert(this.poolObjects.size === poolFrames(m), `frames of the pool: ${this.poolObjects.size}`);
  }

  #walkLeaf(owner: number, table: number, base: number, found: Found): void {
    const { m } = this;
    let count = 0;
    for (let i = 0; i < m.entryCount; i++) {
      const flags = entryFlags(m, table, i);
      if (flags === ENTRY_NONE) continue;
      count++;
      this.#addEntry(owner, base + i, flags, entryWord(m, table, i), found);
    }
    assert(count === m.words[table + T_COUNT], `entries: ${count} found`);
    if (count === 0) found.empty += 1;
    if (isHuge(m, table)) this.#checkHuge(owner, table, base, found);
  }

  /** A huge page's table: all entries by one rule, within one area. */
  #checkHuge(owner: number, table: number, base: number, found: Found): void {
    const { m } = this;
    const w = m.words;
    const isWhole = tableForm(m, table) === FORM_RUN && w[table + T_COUNT] === m.entryCount;
    assert(isWhole, "a huge page's table is one run");
    assert(w[table + T_CONTENTS] % m.entryCount === 0, 'a huge page begins at its own multiple');
    const vma = vmaLookup(m, owner, base);
    assert(vmaEnd(m, vma) >= base + m.entryCount, 'a huge page lies in one area');
    if (!isHugeZero(m, table)) found.counters[C_HUGE] = (found.counters[C_HUGE] ?? 0) + 1;
  }

  #addEntry(owner: number, page: number, flags: number, word: number, found: Found): void {
    const { m } = this;
    const kind = flags & KIND_MASK;
    if (kind === ENTRY_PAGE && (flags & ENTRY_WRITE) !== 0) {
      assert(!isKsm(m, word), `page ${page} may write a merged page`);
      // Where tables are shared the right to write in an entry says that no other table has the page.
      const isAlone = m.sharing === null || (flags & ENTRY_OBJECT) !== 0 || mapCount(m, word) === 1;
      assert(isAlone, `page ${page} may write what other tables map`);
    }
    const isMm = m.words[owner + OWNER_KIND] === OWNER_MM;
    if (isMm) assert(vmaLookup(m, owner, page) !== 0, `an entry outside any area, page ${page}`);
    let counter = -1;
    if (m.words[owner + OWNER_KIND] === OWNER_GUEST) {
      assert(kind === ENTRY_PAGE, "a guest's entry is a page");
      this.maps.set(word, (this.maps.get(word) ?? 0) + 1);
      return;
    }
    if (kind === ENTRY_PAGE && isMm) {
      this.maps.set(word, (this.maps.get(word) ?? 0) + 1);
      counter = this.#rssOf(owner, page, flags);
    } else if (kind === ENTRY_PAGE) {
      found.pages += 1;
      if (!this.maps.has(word)) this.maps.set(word, 0);
    } else if (kind === ENTRY_SWAP) {
      counter = C_SWAP;
      this.slotUsers.set(word, (this.slotUsers.get(word) ?? 0) + 1);
    } else if (kind === ENTRY_ZERO) {
      counter = C_ZERO;
    } else if (kind === ENTRY_SPECIAL) {
      counter = C_SPECIAL;
    } else if (kind === ENTRY_GUARD) {
      counter = C_GUARD;
    }
    if (counter >= 0) found.counters[counter] = (found.counters[counter] ?? 0) + 1;
  }

  #rssOf(mm: number, page: number, flags: number): number {
    if ((flags & ENTRY_OBJECT) === 0) return C_ANON;
    const { m } = this;
    const object = m.words[vmaLookup(m, mm, page) + V_OBJECT];
    assert(object !== 0, "an object's page in an anonymous area");
    return rssCounter(flags, isShmem(m, object));
  }

  /** Share counts say what was found, and objects mapped by their tables agree. */
  checkLinks(): void {
    const { m } = this;
    for (const [table, count] of this.links) {
      assert(linksTo(m, table) === count, `links to a table: ${count} found`);
    }
    this.counted += this.links.size;
    for (const ops of m.windowOps) {
      const { tables, pages, shared } = ops.validate(m);
      this.counted += shared;
      this.windowTables += tables;
      this.windowPages += pages;
    }
  }

  /** No entry too many in the share counts. */
  checkCounts(): void {
    const { shareCounts } = this.m;
    if (shareCounts === null) return;
    shareCounts.validate();
    const kept = shareCounts.entries();
    assert(kept === this.counted, `share counts: ${this.counted} found, ${kept} kept`);
  }

  checkMappings(): void {
    const { m } = this;
    for (const [pfn, count] of this.maps) {
      const block = m.blocksAt + (pfn >> L.BLOCK_SHIFT) * L.BLOCK_WORDS;
      const chunk = m.words[block + L.B_CHUNK];
      const kept =
        chunk === 0
          ? m.words[block + L.B_MAPCOUNT]
          : m.words[chunk + (pfn & (L.BLOCK_FRAMES - 1)) * FRAME_WORDS + F_MAPCOUNT];
      assert(kept === count, `frame ${pfn}: mapped ${count} times, ${kept} kept`);
      if (chunk !== 0) this.#checkRmap(pfn, count);
    }
    closeOpened(m);
    m.ksm?.validate();
  }

  /**
   * The way back from the frame finds every mapping. Only on machines without whole-table forms, which
   * the walk would write out, and without guests, which it does not know.
   */
  #checkRmap(pfn: number, count: number): void {
    const { m } = this;
    if (!m.isCareful || m.words[L.H_GUESTS] !== 0) return;
    let found = 0;
    rmap.begin(m, pfn);
    while (rmap.next(m)) found += 1;
    // Of a merged page's owners some may not be known yet.
    const isFound = isKsm(m, pfn) ? found <= count : found === count;
    assert(isFound, `frame ${pfn}: mapped ${count} times, ${found} found from the frame`);
  }

  checkSwap(): void {
    const { m } = this;
    let used = 0;
    for (let slot = 1; slot <= m.words[L.H_SWAP_SLOTS]; slot++) {
      const users = swapSlotUsers(m, slot);
      if (users > 0) used++;
      const found = this.slotUsers.get(slot) ?? 0;
      assert(users === found, `swap slot ${slot}: ${found} users found, ${users} kept`);
    }
    assert(used === m.words[L.H_SWAP_USED], `swap slots in use: ${used} found`);
  }
}

/** What a shared machine keeps of a table's lifetime, with nobody inside. */
function checkReferences(m: Machine, table: number): void {
  const state = m.words[table + T_STATE];
  assert((state & (T_FREEZING | T_QUEUED | T_DEAD)) === 0, 'a table that is frozen or dead');
  if ((state & T_COUNTED) === 0) return;
  const makers = (state & T_BORN) === 0 ? 0 : 1;
  assert(sumRefs(m, table) === m.words[table + T_COUNT] + makers, "a table's references");
}

interface Found {
  stored: number;
  poolBytes: number;
  tables: number[];
  empty: number;
  pages: number;
  counters: Record<number, number>;
}

function checkAreas(m: Machine, mm: number): void {
  const count = m.words[mm + MM_VMA_COUNT];
  const ends = m.words[mm + MM_VMA_ENDS] >> 1;
  let before = 0;
  let pages = 0;
  for (let at = 0; at < count; at++) {
    const vma = vmaAt(m, mm, at);
    assert(m.words[vma + V_MM] === mm, "an area's address space");
    assert(vmaStart(m, vma) >= before, 'areas out of order');
    assert(vmaEnd(m, vma) > vmaStart(m, vma), 'an empty area');
    assert(m.doubles[ends + at] === vmaEnd(m, vma), "an area's end in the list");
    before = vmaEnd(m, vma);
    pages += vmaEnd(m, vma) - vmaStart(m, vma);
  }
  assert(pages === m.doubles[(mm + MM_TOTAL_VM) >> 1], 'pages of all areas');
}
