import { assert } from '../../../base/index.ts';
import type { Machine } from '../../machine.ts';
import { UNIT_SHIFT } from '../../metadata/need.ts';
import type { Mechanism } from '../mechanism.ts';
import { Gauge } from './gauge.ts';
import {
  DYNAMIC_METADATA_DEFAULTS,
  type DynamicMetadataOptions,
  SETTING_TEXTS,
} from './options.ts';
import { validateVmemmap } from './validate.ts';
import { Vmemmap } from './vmemmap.ts';

/**
 * Struct pages on demand (P. Aumann, "Optimizing Memory Metadata: Dynamic Allocation of Struct Pages in
 * the Linux Kernel", 2024; docs/dynamic-metadata.md): a page of the vmemmap is there only while one of
 * its 64 frames is in use, and is ordinary memory else.
 */
interface Attached {
  readonly vmemmap: Vmemmap;
  readonly gauge: Gauge;
}

const attached = new WeakMap<Machine, Attached>();

export function dynamicMetadataWith(options: DynamicMetadataOptions): Mechanism {
  return {
    id: 'dynamic-metadata',
    title: 'struct pages only while a frame needs one (bytes by scheme over time)',
    excludes: { 'static-metadata': 'the same struct pages, once on demand and once all' },
    settings: { ...options },
    settingTexts: SETTING_TEXTS,
    withSettings: (values) => dynamicMetadataWith({ ...options, ...values }),
    attach(m) {
      const vmemmap = new Vmemmap(m, options);
      attached.set(m, { vmemmap, gauge: new Gauge(m, vmemmap, options) });
    },
    counters: (m) => ({ ...of(m).vmemmap.counters(), ...of(m).gauge.read() }),
    gauges: (m) => of(m).gauge.readNowAndThen(),
    peaks: (m) => of(m).gauge.peaks(),
  };
}

export const dynamicMetadata: Mechanism = dynamicMetadataWith(DYNAMIC_METADATA_DEFAULTS);

/** Recomputes from the frames what must be there; throws at the first difference. */
export function validateDynamicMetadata(m: Machine): void {
  validateVmemmap(m, of(m).vmemmap);
}

/** Pages of vmemmap that are there for frames from `pfn` on. */
export function vmemmapPages(m: Machine, pfn: number, frames: number): number {
  const { units } = of(m).vmemmap;
  let pages = 0;
  for (let unit = pfn >> UNIT_SHIFT; unit << UNIT_SHIFT < pfn + frames; unit++) {
    if (units[unit] !== 0) pages++;
  }
  return pages;
}

function of(m: Machine): Attached {
  const found = attached.get(m);
  assert(found !== undefined, 'dynamic-metadata is not attached');
  return found;
}
