/**
 * How broken up the free memory of a machine is that is not the modelled one: from the kernel's own
 * files, live or captured. The arithmetic is the engine's (frames/fragmentation.ts).
 */
export { type BuddyZone, parseBuddyinfo } from './buddyinfo.ts';
export { parseZoneinfo, type ZoneMarks } from './zoneinfo.ts';
export {
  type FragmentationDocument,
  fragmentationOf,
  type OrderFragmentation,
  type ZoneFragmentation,
} from './zones.ts';
