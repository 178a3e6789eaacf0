import { Z_LOW, Z_MIN } from '../layout.ts';

/**
 * How much of a zone an allocation leaves free (ALLOC_WMARK_* and ALLOC_NO_WATERMARKS,
 * mm/internal.h): a watermark, by its word in the zone, or less.
 */
export const FLOOR_LOW = Z_LOW;
export const FLOOR_MIN = Z_MIN;
/** Half of the min watermark: reclaim's own, and allocations that must not fail (PF_MEMALLOC). */
export const FLOOR_HALF_MIN = -1;
/** Nothing is kept back. */
export const FLOOR_NONE = -2;
