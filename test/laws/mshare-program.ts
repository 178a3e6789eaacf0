import { strict as assert } from 'node:assert';
import {
  Errno,
  MADV_COLD,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_PAGEOUT,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
} from '../../src/base/index.ts';
import {
  type MachineOptions,
  MshareFs,
  MshareHandle,
  mshareCounters,
  O_CREAT,
  O_EXCL,
  type System,
} from '../../src/engine/index.ts';
import type { MshareFile } from '../../src/engine/mechanisms/mshare/posted.ts';
import { ModelObject, READ_WRITE, zeros } from './sharing-model.ts';
import { type ModelProcess, SharingRun, SLOT_PAGES, SLOTS } from './sharing-run.ts';

/**
 * Random programs with mshare through both of its interfaces, against the copying model: every call's
 * result and every word. Windows lie in slots 1 to 7 of 512 pages, which is the alignment of a machine
 * with eight entries a table; slot 0 is for objects that processes map without a window.
 */
const PAGE = 4096;
const SLOT_BYTES: number = SLOT_PAGES * PAGE;
const REGIONS_MAX = 4;

interface ModelRegion {
  /** As posted: names, open files. Empty of both and of windows it is gone. */
  readonly names: string[];
  readonly files: MshareFile[];
  /** As announced. */
  readonly handle: MshareHandle | null;
  owner: ModelProcess['process'] | null;
  pages: number;
  readonly object: ModelObject;
}

export class MshareProgram {
  readonly run: SharingRun;
  readonly #fs: MshareFs;
  #regions: ModelRegion[] = [];
  #nextName = 1;

  constructor(seed: number, options: MachineOptions, attach?: (system: System) => void) {
    this.run = new SharingRun(seed, options, attach);
    this.#fs = new MshareFs(this.run.system);
    this.run.spawn();
    this.run.spawn();
  }

  step(): void {
    const { run } = this;
    const ops: readonly [weight: number, op: () => void][] = [
      [100, () => run.access()],
      [25, () => run.touchMany()],
      [12, () => this.#create()],
      [2, () => this.#setSize()],
      [30, () => this.#map()],
      [12, () => this.#unmap()],
      [9, () => this.#protect()],
      [12, () => this.#advise()],
      [25, () => this.#attach()],
      [8, () => this.#detach()],
      [6, () => this.#refuse()],
      [4, () => this.#mapDirectly()],
      [3, () => this.#names()],
      [2, () => this.#close()],
      [2, () => run.spawn()],
      [4, () => run.fork()],
      [1, () => run.exec()],
      [2, () => this.#exit()],
    ];
    const sum = ops.reduce((total, [weight]) => total + weight, 0);
    let roll = run.random.below(sum);
    for (const [weight, op] of ops) {
      roll -= weight;
      if (roll < 0) {
        op();
        break;
      }
    }
    this.#forget();
  }

  get #count(): number {
    return mshareCounters(this.run.system.machine)['regions'] ?? 0;
  }

  /** Regions that nobody names, has open or maps are gone. */
  #forget(): void {
    const shown = new Set(
      this.run.running.flatMap(({ space }) => space.windows.map(({ object }) => object)),
    );
    this.#regions = this.#regions.filter(({ names, files, handle, owner, object }) => {
      const isHeld = handle === null ? names.length + files.length > 0 : owner !== null;
      return isHeld || shown.has(object);
    });
  }

  /** Most often with a size at once. */
  #create(): void {
    if (this.#regions.length >= REGIONS_MAX) return;
    const region = this.#new();
    this.#regions.push(region);
    if (this.run.random.chance(0.2)) return;
    region.pages = (1 + this.run.random.below(2)) * SLOT_PAGES;
    const control = region.handle ?? (region.files[0] as MshareFile);
    assert.equal(control.ftruncate(region.pages * PAGE), 0);
  }

  #new(): ModelRegion {
    const { random, system } = this.run;
    const { process } = this.run.one();
    const fresh = { names: [], files: [], owner: process, pages: 0, object: new ModelObject() };
    if (random.chance(0.5)) {
      assert.equal(MshareHandle.create(system, process, 1), -Errno.EINVAL);
      const handle = MshareHandle.create(system, process);
      assert.ok(typeof handle !== 'number');
      return { ...fresh, handle };
    }
    const name = `r${this.#nextName++}`;
    const file = this.#fs.open(process, name, O_CREAT | O_EXCL);
    assert.ok(typeof file !== 'number');
    return { ...fresh, names: [name], files: [file], handle: null };
  }

  /** A region, and whether its calls get as far as the region. */
  #held(): { region: ModelRegion; file: MshareFile | null; isOpen: boolean } | undefined {
    const region = this.run.pick(this.#regions);
    if (region === undefined) return undefined;
    const file = this.run.pick(region.files) ?? null;
    if (region.handle === null && file === null) return undefined;
    return { region, file, isOpen: region.handle === null || region.owner !== null };
  }

  #setSize(): void {
    const held = this.#held();
    if (held === undefined) return;
    const { region, file, isOpen } = held;
    const { random } = this.run;
    const pages = random.pick([SLOT_PAGES, SLOT_PAGES, 2 * SLOT_PAGES, 0, 8, SLOTS * SLOT_PAGES]);
    const isFine = pages > 8 && pages < SLOTS * SLOT_PAGES && region.pages === 0;
    const want = !isOpen ? -Errno.EBADF : isFine ? 0 : -Errno.EINVAL;
    const bytes = pages * PAGE;
    const isFallocate = file !== null && random.chance(0.5);
    const got = isFallocate
      ? file.fallocate(0, 0, bytes)
      : (region.handle ?? (file as MshareFile)).ftruncate(bytes);
    assert.equal(got, want, `size of ${pages} pages`);
    if (want === 0) region.pages = pages;
  }

  #map(): void {
    const held = this.#held();
    if (held === undefined) return;
    const { region, file, isOpen } = held;
    const { random } = this.run;
    const { from, count } = this.run.range(region.pages === 0 ? SLOT_PAGES : region.pages);
    const shared = random.chance(0.4) ? this.run.pick(this.run.shared) : undefined;
    const pages = shared === undefined ? count : Math.min(count, shared.memory.length);
    const index = shared === undefined ? 0 : random.below(shared.memory.length - pages + 1);
    const prot = random.chance(0.8) ? READ_WRITE : PROT_READ;
    const anonymous = shared === undefined ? MAP_ANONYMOUS : 0;
    const got =
      region.handle === null
        ? (file as MshareFile).createMapping({
            regionOffset: from * PAGE,
            size: pages * PAGE,
            offset: index * PAGE,
            prot,
            flags: MAP_SHARED | MAP_FIXED | anonymous,
            object: shared?.object ?? 0,
          })
        : region.handle.map(
            from * PAGE,
            pages * PAGE,
            prot,
            anonymous,
            shared?.object ?? 0,
            index * PAGE,
          );
    const isFine = region.owner !== null && region.pages > 0;
    assert.equal(got, !isOpen ? -Errno.EBADF : isFine ? 0 : -Errno.EINVAL, 'map into a region');
    if (got === 0) region.object.map(from, pages, prot, shared?.memory ?? zeros(pages), index);
  }

  #unmap(): void {
    const held = this.#held();
    if (held === undefined) return;
    const { region, file, isOpen } = held;
    const isAll = this.run.random.chance(0.1) && region.pages > 0;
    const part = this.run.range(region.pages === 0 ? SLOT_PAGES : region.pages);
    const { from, count } = isAll ? { from: 0, count: region.pages } : part;
    const got = (region.handle ?? (file as MshareFile)).unmap(from * PAGE, count * PAGE);
    const isFine = region.pages > 0;
    assert.equal(got, !isOpen ? -Errno.EBADF : isFine ? 0 : -Errno.EINVAL, 'unmap of a region');
    if (got === 0) region.object.unmap(from, count);
  }

  /** Rights and advice are calls of the announced interface alone. */
  #announced(): { region: ModelRegion; handle: MshareHandle } | undefined {
    const region = this.run.pick(this.#regions);
    if (region === undefined || region.handle === null || region.pages === 0) return undefined;
    return { region, handle: region.handle };
  }

  #protect(): void {
    const held = this.#announced();
    if (held === undefined) return;
    const { region, handle } = held;
    const { from, count } = this.run.range(region.pages);
    const prot = this.run.random.pick([0, PROT_READ, READ_WRITE, READ_WRITE]);
    const got = handle.protect(from * PAGE, count * PAGE, prot);
    if (region.owner === null) assert.equal(got, -Errno.EBADF);
    else assert.equal(got, region.object.protect(from, count, prot), 'protect');
  }

  #advise(): void {
    const held = this.#announced();
    if (held === undefined) return;
    const { region, handle } = held;
    const { object } = region;
    const { from, count } = this.run.range(region.pages);
    const kinds = [MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_PAGEOUT, MADV_REMOVE, MADV_FREE];
    const advice = this.run.random.pick(kinds);
    const got = handle.advise(from * PAGE, count * PAGE, advice);
    // Holes are passed over and make it ENOMEM; what is shared cannot be given up lazily.
    let want = object.isWhole(from, count) ? 0 : -Errno.ENOMEM;
    const isEmpty = object.pages.slice(from, from + count).every((page) => page === undefined);
    if (advice === MADV_FREE && !isEmpty) want = -Errno.EINVAL;
    if (region.owner === null) want = -Errno.EBADF;
    else if (advice === MADV_REMOVE) object.remove(from, count);
    assert.equal(got, want, `advice ${advice}`);
  }

  #attach(): void {
    const held = this.#held();
    if (held === undefined) return;
    const { region, file, isOpen } = held;
    const { random } = this.run;
    const which = this.run.one();
    const { process, space } = which;
    const isPart = random.chance(0.3) && region.pages > SLOT_PAGES;
    const offset = isPart ? SLOT_PAGES : 0;
    const pages = Math.max(SLOT_PAGES, region.pages - offset);
    const slot = random.chance(0.2) ? 0 : 1 + random.below(SLOTS - 1);
    const at = slot * SLOT_PAGES;
    const addr = at * PAGE;
    const flags = MAP_SHARED | (slot === 0 ? 0 : MAP_FIXED);
    const got =
      region.handle === null
        ? process.mmap(
            addr,
            pages * PAGE,
            READ_WRITE,
            flags,
            (file as MshareFile).region,
            offset * PAGE,
          )
        : region.handle.attach(process, offset * PAGE, pages * PAGE, addr);
    const isFine = region.owner !== null && region.pages > 0 && (!isPart || region.handle !== null);
    if (!isOpen) assert.equal(got, -Errno.EBADF);
    else if (!isFine) assert.equal(got, -Errno.EINVAL, 'attach');
    else if (slot > 0 && at + pages > SLOTS * SLOT_PAGES) assert.equal(got, -Errno.ENOMEM);
    else if (slot > 0 && space.cuts(at, pages)) assert.equal(got, -Errno.EINVAL, 'cuts a window');
    else if (slot > 0) assert.equal(got, addr, 'attach');
    else this.#expectChosen(which, got, pages);
    if (got < 0) return;
    const page = got / PAGE;
    space.unmap(page, pages);
    space.windows.push({ page, pages, object: region.object, offset });
  }

  /** The kernel's own choice: aligned and free; without one there is no such gap. */
  #expectChosen({ space }: ModelProcess, got: number, pages: number): void {
    if (got >= 0) {
      assert.equal(got % SLOT_BYTES, 0, 'a window is aligned');
      assert.ok(space.isFree(got / PAGE, pages), 'a window in the way of something');
      return;
    }
    assert.equal(got, -Errno.ENOMEM);
    // It looks for room that has an aligned window wherever it begins, below the stack's gap.
    const top = (SLOTS - 1) * SLOT_PAGES;
    for (let page = SLOT_PAGES; page + SLOT_PAGES + pages <= top; page += SLOT_PAGES) {
      assert.ok(!space.isFree(page, pages + SLOT_PAGES), 'there was room');
    }
  }

  /** munmap of a window, or of any pages: whole windows, or nothing. */
  #detach(): void {
    const { process, space } = this.run.one();
    const window = this.run.pick(space.windows);
    const any = this.run.range(SLOTS * SLOT_PAGES);
    const isWindow = window !== undefined && this.run.random.chance(0.7);
    const { from, count } = isWindow ? { from: window.page, count: window.pages } : any;
    const want = space.unmap(from, count);
    assert.equal(process.munmap(from * PAGE, count * PAGE), want, `munmap ${from} ${count}`);
  }

  /** What nobody may do with a window, or with a region. */
  #refuse(): void {
    const { process, space } = this.run.one();
    const { random } = this.run;
    const window = this.run.pick(space.windows);
    if (window !== undefined) {
      const bytes = window.pages * PAGE;
      const at = window.page * PAGE;
      assert.equal(process.munmap(at + PAGE, bytes - PAGE), -Errno.EINVAL);
      assert.equal(process.munmap(at, bytes - PAGE), -Errno.EINVAL);
      assert.equal(process.mprotect(at, bytes, PROT_READ), -Errno.EINVAL);
      const advice = random.pick([MADV_DONTNEED, MADV_PAGEOUT, MADV_COLD, MADV_FREE, MADV_REMOVE]);
      assert.equal(process.madvise(at, bytes, advice), -Errno.EINVAL, `advice ${advice}`);
    }
    const held = this.#held();
    if (held === undefined || held.region.pages === 0 || held.file === null) return;
    const { file, region } = held;
    const bytes = region.pages * PAGE;
    const what = { regionOffset: 0, size: PAGE, offset: 0, prot: READ_WRITE, object: 0 };
    const anonymous = MAP_FIXED | MAP_ANONYMOUS;
    const flags = anonymous | MAP_SHARED;
    const bad = [
      { ...what, flags: anonymous | MAP_PRIVATE },
      { ...what, flags: MAP_SHARED | MAP_ANONYMOUS },
      { ...what, flags, regionOffset: bytes - PAGE, size: 2 * PAGE },
      { ...what, flags, regionOffset: 100 },
      { ...what, flags: MAP_SHARED | MAP_FIXED, object: file.region },
    ];
    assert.equal(file.createMapping(random.pick(bad)), -Errno.EINVAL);
    assert.equal(file.unmap(bytes, PAGE), -Errno.EINVAL);
    const fixed = MAP_SHARED | MAP_FIXED;
    assert.equal(process.mmap(SLOT_BYTES + PAGE, bytes, 3, fixed, file.region), -Errno.EINVAL);
    assert.equal(process.mmap(SLOT_BYTES, bytes / 2, 3, fixed, file.region), -Errno.EINVAL);
    assert.equal(
      process.mmap(SLOT_BYTES, bytes, 3, MAP_PRIVATE | MAP_FIXED, file.region),
      -Errno.EINVAL,
    );
  }

  /** A shared object in a process itself, so that a region is not its only user. */
  #mapDirectly(): void {
    const { process, space } = this.run.one();
    const { object, memory } = this.run.random.pick(this.run.shared);
    const from = 16 + this.run.random.below(SLOT_PAGES - 96);
    const count = 1 + this.run.random.below(memory.length);
    const index = this.run.random.below(memory.length - count + 1);
    const flags = MAP_SHARED | MAP_FIXED;
    const addr = from * PAGE;
    const got = process.mmap(addr, count * PAGE, READ_WRITE, flags, object, index * PAGE);
    assert.equal(got, addr);
    space.map(from, count, READ_WRITE, memory, index);
  }

  #names(): void {
    const region = this.run.pick(this.#regions);
    if (region === undefined || region.handle !== null) return;
    const { process } = this.run.one();
    const name = this.run.pick(region.names);
    if (name === undefined) return;
    const roll = this.run.random.below(4);
    const other = `r${this.#nextName++}`;
    if (roll === 0) {
      assert.equal(this.#fs.unlink(name), 0);
      assert.equal(this.#fs.open(process, name, 2), -Errno.ENOENT);
      region.names.splice(region.names.indexOf(name), 1);
    } else if (roll === 1) {
      assert.equal(this.#fs.link(name, other), 0);
      region.names.push(other);
    } else if (roll === 2) {
      assert.equal(this.#fs.rename(name, other), 0);
      region.names.splice(region.names.indexOf(name), 1, other);
    } else if (region.files.length < 3) {
      assert.equal(this.#fs.open(process, name, O_CREAT | O_EXCL), -Errno.EEXIST);
      const file = this.#fs.open(process, name, 2);
      assert.ok(typeof file !== 'number');
      region.files.push(file);
    }
  }

  #close(): void {
    const region = this.run.pick(this.#regions);
    if (region === undefined) return;
    const file = region.files.pop();
    file?.close();
    if (region.handle === null) return;
    const { process } = this.run.one();
    region.handle.close(process);
    if (process === region.owner) orphan(region);
  }

  #exit(): void {
    if (this.run.running.length > 1) this.#end(this.run.one());
  }

  #end(which: ModelProcess): void {
    this.run.exit(which);
    for (const region of this.#regions) if (region.owner === which.process) orphan(region);
  }

  check(isFull: boolean): void {
    assert.equal(this.#count, this.#regions.length, 'regions');
    if (isFull) this.run.readAll();
    this.run.validate();
  }

  /** All goes, in any order; then nothing is left. */
  finish(): void {
    this.check(true);
    const { run } = this;
    const ends: (() => void)[] = [];
    for (const which of [...run.running]) ends.push(() => this.#end(which));
    for (const { object } of run.shared) ends.push(() => run.system.closeObject(object));
    for (const { files, names } of this.#regions) {
      for (const file of files) ends.push(() => file.close());
      for (const name of names) ends.push(() => assert.equal(this.#fs.unlink(name), 0));
    }
    while (ends.length > 0) {
      (ends.splice(run.random.below(ends.length), 1)[0] as () => void)();
      run.validate();
    }
    run.expectNothingLeft();
  }
}

/** The owner is gone: so is what it mapped, for everybody. */
function orphan(region: ModelRegion): void {
  region.owner = null;
  region.object.unmap(0, region.pages);
}
