/**
 * How many free frames the kernel keeps for itself (mm/page_alloc.c, mm/khugepaged.c), from numbers
 * alone: of the machine's zones, or of a captured /proc/zoneinfo. Frames of 4 KiB.
 */
export interface Watermarks {
  readonly min: number;
  readonly low: number;
  readonly high: number;
}

/** min_free_kbytes at most, in frames. */
const MIN_FREE_MAX = 262144 / 4;
const MIN_FREE_MIN = 128 / 4;
const PAGEBLOCK = 512;
/** MIGRATE_PCPTYPES. */
const TYPES = 3;
/** watermark_scale_factor: of 10,000. */
const SCALE_FACTOR = 10;

/** calculate_min_free_kbytes: sqrt(16 * KiB), of all managed frames outside zones Movable. */
export function minFreeFrames(managed: number): number {
  const kib = Math.floor(Math.sqrt(managed * 4 * 16));
  return Math.min(MIN_FREE_MAX, Math.max(MIN_FREE_MIN, kib / 4));
}

/**
 * set_recommended_min_free_kbytes, with huge pages on: for each zone two free pageblocks, and one for
 * each migrate type to fall back to from each, 2 + 3 * 3; at most 5 % of `buffer`, the managed frames
 * less the high watermarks (nr_free_buffer_pages).
 */
export function recommendedMinFreeFrames(zones: number, buffer: number): number {
  return Math.min(PAGEBLOCK * zones * (2 + TYPES * TYPES), Math.floor(buffer / 20));
}

/** __setup_per_zone_wmarks: a zone's part of `minFree`, and the gap between the marks. */
export function zoneWatermarks(managed: number, allManaged: number, minFree: number): Watermarks {
  const min = Math.floor((minFree * managed) / allManaged);
  return withGap(min, min, managed);
}

/** Of a zone Movable: its min is small, its gap that of the others. */
export function movableWatermarks(
  managed: number,
  allManaged: number,
  minFree: number,
): Watermarks {
  const min = managed === 0 ? 0 : Math.min(128, Math.max(32, Math.floor(managed / 1024)));
  return withGap(min, Math.floor((minFree * managed) / allManaged), managed);
}

function withGap(min: number, share: number, managed: number): Watermarks {
  const gap = Math.max(Math.floor(share / 4), Math.floor((managed * SCALE_FACTOR) / 10_000));
  return { min, low: min + gap, high: min + 2 * gap };
}
