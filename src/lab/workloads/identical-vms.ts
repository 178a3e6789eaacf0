import { MADV_MERGEABLE, Random } from '../../base/index.ts';
import type { TraceEvent } from '../../trace/index.ts';
import { fills, madvise, mark, mmapAnon, reads, SLOT_BYTES, writes } from './program.ts';
import type { Workload } from './workload.ts';

/**
 * Virtual machines whose memory is the same in part: the guests' programs and page caches. Seen from
 * the host a guest is a process with one large area, which the monitor gives to samepage merging; here
 * after a while in which it shows what of it is used. All guests have the same kinds of regions at the
 * same places; the seed shuffles them. How much of a guest is equal, and how much of that is hot, is
 * not published: the parts are parameters.
 */
const BASE_ADDR = 0x100000000000;
const SLOT_PAGES = 512;
const SECOND_NS = 1e9;
/** Of a partly equal region: one page in so many is the same in all guests. */
const PART_STEP = 4;

/** What a region of 2 MiB holds: the same in all guests, one page in four the same, nothing. */
export type RegionKind = 'same' | 'part' | 'own';

export interface GuestRegion {
  readonly kind: RegionKind;
  /** Used all the time; else written once. */
  readonly isHot: boolean;
}

/** The regions of every guest, in order of addresses. */
export function guestRegions(
  values: Readonly<Record<string, number>>,
  seed: number,
): GuestRegion[] {
  const { mib = 0, samePercent = 0, partPercent = 0, hotPercent = 0 } = values;
  const slots = Math.floor(mib / 2);
  const of = (percent: number): number => Math.round((slots * percent) / 100);
  const regions: GuestRegion[] = [];
  for (let i = 0; i < slots; i++) {
    const isPart = i < of(samePercent) + of(partPercent);
    const kind = i < of(samePercent) ? 'same' : isPart ? 'part' : 'own';
    // Evenly in each kind: the next one is hot when that brings the hot ones nearer to their part.
    const isHot = Math.floor(((i + 1) * hotPercent) / 100) > Math.floor((i * hotPercent) / 100);
    regions.push({ kind, isHot });
  }
  const random = new Random(seed);
  for (let i = regions.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [regions[i], regions[other]] = [regions[other] as GuestRegion, regions[i] as GuestRegion];
  }
  return regions;
}

/** Address of a guest's region. */
export function guestRegionAddr(region: number): number {
  return BASE_ADDR + region * SLOT_BYTES;
}

export const identicalVms: Workload = {
  name: 'identical-vms',
  title: 'guests with partly equal memory, for samepage merging',
  hasContents: true,
  parameters: {
    guests: { value: 4, least: 1, what: 'guests' },
    mib: { value: 64, least: 2, what: 'MiB of each' },
    samePercent: { value: 50, least: 0, what: 'percent of it that is equal in all guests' },
    partPercent: { value: 25, least: 0, what: 'percent of which one page in four is' },
    hotPercent: { value: 25, least: 0, what: 'percent that is used all the time' },
    warmSeconds: { value: 40, least: 0, what: 'seconds before samepage merging gets the memory' },
    seconds: { value: 120, least: 1, what: 'seconds in all' },
  },
  *events(values, seed) {
    const { guests = 1, warmSeconds = 0, seconds = 1, mib = 0 } = values;
    const regions = guestRegions(values, seed);
    for (let pid = 1; pid <= guests; pid++) {
      yield mmapAnon(pid, BASE_ADDR, mib * 2 ** 20);
      for (const [i, { kind }] of regions.entries()) yield* fillRegion(pid, i, kind);
    }
    yield mark('filled');
    for (let second = 1; second <= seconds; second++) {
      for (let pid = 1; pid <= guests; pid++) {
        if (second === warmSeconds + 1) {
          yield at(second, madvise(pid, BASE_ADDR, mib * 2 ** 20, MADV_MERGEABLE));
        }
        yield* use(pid, regions, second);
      }
    }
    yield mark('merged');
  },
};

function* fillRegion(pid: number, region: number, kind: RegionKind): Iterable<TraceEvent> {
  const addr = guestRegionAddr(region);
  // First at once, as a guest's boot does; then what differs.
  yield at(0, fills(pid, addr, SLOT_PAGES, -1));
  if (kind === 'own') return;
  const step = kind === 'same' ? 1 : PART_STEP;
  for (let i = 0; i < SLOT_PAGES; i += step) {
    yield at(0, fills(pid, addr + i * 4096, 1, 1 + region * SLOT_PAGES + i));
  }
}

/** A second of a guest: hot regions are read, and those of its own written a little. */
function* use(pid: number, regions: readonly GuestRegion[], second: number): Iterable<TraceEvent> {
  for (const [i, { kind, isHot }] of regions.entries()) {
    if (!isHot) continue;
    const addr = guestRegionAddr(i);
    yield at(second, reads(pid, addr, SLOT_PAGES));
    if (kind === 'own') yield at(second, writes(pid, addr, 8, 4096));
  }
}

function at(second: number, event: TraceEvent): TraceEvent {
  event.timeNs = second * SECOND_NS;
  return event;
}
