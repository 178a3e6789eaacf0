import { assert } from '../../../base/index.ts';
import { F_STATE, frameRecord, TYPE_MASK, TYPE_METADATA } from '../../frames/frame-record.ts';
import type { Machine } from '../../machine.ts';
import { BLOCK_UNITS, GROUP_BLOCKS, unitsOf } from '../../metadata/need.ts';
import { tallyFrames } from '../../metadata/tally.ts';
import type { Vmemmap } from './vmemmap.ts';

/** Recomputes from the frames which units must be there, and from the units all that is counted. */
export function validateVmemmap(m: Machine, v: Vmemmap): void {
  const frames = new Set<number>(v.spare);
  let [units, tables, overdrawn] = [0, 0, 0];
  const own = (frame: number, what: string): void => {
    if (frame === -1) {
      overdrawn += 1;
      return;
    }
    assert(!frames.has(frame), `frame ${frame} holds two things`);
    frames.add(frame);
    const type = m.words[frameRecord(m, frame) + F_STATE] & TYPE_MASK;
    assert(type === TYPE_METADATA, `frame ${frame} of ${what} has type ${type}`);
  };
  for (let group = 0; group < v.tables.length; group++) {
    let inGroup = 0;
    const end = Math.min(m.blockCount, (group + 1) * GROUP_BLOCKS);
    for (let number = group * GROUP_BLOCKS; number < end; number++) {
      const mask = unitsOf(m, number, v.hugeUnits);
      for (let i = 0; i < BLOCK_UNITS; i++) {
        const frame = v.units[number * BLOCK_UNITS + i] as number;
        const what = `unit ${i} of pageblock ${number}`;
        if ((mask & (1 << i)) !== 0) assert(frame !== 0, `${what} is missing`);
        if ((mask & (1 << (i + 8))) !== 0) assert(frame === 0, `${what} describes free memory`);
        if (frame === 0) continue;
        own(frame, what);
        inGroup += 1;
      }
    }
    assert(inGroup === v.groupUnits[group], `units of group ${group}: ${inGroup}`);
    assert(inGroup > 0 === (v.tables[group] !== 0), `page table of group ${group}`);
    units += inGroup;
    if (v.tables[group] === 0) continue;
    own(v.tables[group] as number, `the page table of group ${group}`);
    tables += 1;
  }
  assert(units === v.unitCount, `units: ${units}, counted ${v.unitCount}`);
  assert(tables === v.tableCount, `page tables: ${tables}, counted ${v.tableCount}`);
  assert(overdrawn === v.overdrawn, `without a frame: ${overdrawn}, counted ${v.overdrawn}`);
  const { metadata } = tallyFrames(m);
  assert(
    metadata === frames.size + v.llfreeFrames,
    `frames of metadata: ${metadata}, held ${frames.size} and ${v.llfreeFrames}`,
  );
}
