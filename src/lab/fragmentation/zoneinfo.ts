import { InputError } from '../../base/index.ts';

/** What /proc/zoneinfo says of a zone that compaction looks at, in frames. */
export interface ZoneMarks {
  readonly node: number;
  readonly zone: string;
  readonly freeFrames: number;
  readonly minFrames: number;
  readonly lowFrames: number;
  /**
   * What the zone keeps back from an allocation that may be served by all zones (lowmem_reserve;
   * its values grow with the highest zone that an allocation may use, so it is the largest).
   */
  readonly reserveFrames: number;
}

const HEAD = /^Node (\d+), zone +(\S+)$/;
const VALUE = /^ +(pages free|min|low) +(\d+)$/;
const PROTECTION = /^ +protection: \(([\d, ]+)\)$/;

/** The zones of /proc/zoneinfo's text. Throws InputError for a zone that lacks a value. */
export function parseZoneinfo(text: string, name: string): ZoneMarks[] {
  const zones: ZoneMarks[] = [];
  let values = new Map<string, number>();
  let head: { node: number; zone: string; line: number } | undefined;
  const finish = (): void => {
    if (head !== undefined) zones.push(marksOf(head, values, name));
  };
  for (const [at, line] of text.split('\n').entries()) {
    const [, node, zone = ''] = HEAD.exec(line) ?? [];
    if (node !== undefined) {
      finish();
      head = { node: Number(node), zone, line: at + 1 };
      values = new Map();
      continue;
    }
    const [, key, value] = VALUE.exec(line) ?? [];
    if (key !== undefined && !values.has(key)) values.set(key, Number(value));
    const [, protection] = PROTECTION.exec(line) ?? [];
    if (protection !== undefined) {
      values.set('protection', Math.max(...protection.split(',').map(Number)));
    }
  }
  finish();
  if (zones.length === 0) throw new InputError(`${name}:1: no zones; want /proc/zoneinfo's text`);
  return zones;
}

function marksOf(
  { node, zone, line }: { node: number; zone: string; line: number },
  values: ReadonlyMap<string, number>,
  name: string,
): ZoneMarks {
  const frames = (key: string): number => {
    const value = values.get(key);
    if (value !== undefined) return value;
    throw new InputError(`${name}:${line}: zone ${zone} has no line '${key}'`);
  };
  return {
    node,
    zone,
    freeFrames: frames('pages free'),
    minFrames: frames('min'),
    lowFrames: frames('low'),
    reserveFrames: frames('protection'),
  };
}
