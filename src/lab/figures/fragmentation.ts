import { externalFragmentation, freeBlocksOf, type System } from '../../engine/index.ts';
import { parseKernel } from '../kernels.ts';
import { replay } from '../replay/replay.ts';
import { findWorkload, openWorkload, workloadValues } from '../workloads/index.ts';
import { GIB_BYTES } from '../workloads/program.ts';
import type { Figure, FigureContext, FigureResult } from './figure.ts';
import { onlyHere, verdictOf } from './parts.ts';
import { INGENS_PAPER } from './sources.ts';

const KERNEL = 'linux-6.18';
const FILLED_GIB = 24;
const HUGE_ORDER = 9;
const BLOCKS_PER_GIB = 512;
/** Published for a fault of 4 KB; a call is the replay's modelled cost of one. */
const FAULT_US = 3.6;
const CALL_US = 1.5;

export const INGENS_FRAGMENTATION: Figure = {
  id: 'ingens.fragmentation',
  seed: '002',
  what: 'memory of 25 GiB of which 24 are filled and half of that is given back in pieces',
  unit: 's',
  published: '2 minutes to fragment 24 GB',
  source: INGENS_PAPER,
  method: 'model',
  inputs: [
    {
      name: 'fragmenter',
      value: 'frag-normal, one pass: half of every 4 MiB, in pieces of 1 MiB down to 4 KiB',
      source: 'frag_normal of the released code (ut-osa/ingens, programs/micro)',
    },
    { name: 'a fault', value: `${FAULT_US} µs`, source: INGENS_PAPER },
    { name: 'a call', value: `${CALL_US} µs`, source: 'ours, measured on Linux 6.18 (replay.md)' },
  ],
  rule: 'none: how the published memory was fragmented, and how far, was not published',
  isQuick: false,
  run: fragmentation,
};

interface Free {
  /** Free 2 MiB blocks, and free GiB, of all zones. */
  blocks: number;
  gib: number;
  /** FMFI of the zone with most of the memory, 0 to 100. */
  fmfi: number;
}

function fragmentation(context: FigureContext): FigureResult {
  const workload = findWorkload('frag-normal');
  if (workload === undefined) throw new Error('no workload frag-normal');
  context.onProgress(`frag-normal under ${KERNEL}`);
  const settings = new Map([['mib', String(FILLED_GIB * 1024)]]);
  let free: Free = { blocks: 0, gib: 0, fmfi: 0 };
  const { final, events } = replay(
    openWorkload(workload, workloadValues(workload, settings), 1),
    parseKernel(KERNEL),
    {
      machine: { nodeBytes: [(FILLED_GIB + 1) * GIB_BYTES] },
      onEnd: (system) => {
        free = freeOf(system);
      },
    },
  );
  const seconds = (final.faults * FAULT_US + events * CALL_US) / 1e6;
  const given = FILLED_GIB / 2;
  const inBlocks = free.blocks / BLOCKS_PER_GIB;
  // What was never filled, less than 1 GiB, is free in large blocks.
  const ofGiven = Math.max(0, inBlocks - 1);
  const parts = [
    onlyHere('filled and given back (published 120)', 's', Number(seconds.toFixed(1))),
    onlyHere('free', 'GiB', Number(free.gib.toFixed(2))),
    onlyHere('of that given back', 'GiB', given),
    onlyHere('free in blocks of 2 MiB', 'GiB', Number(inBlocks.toFixed(2))),
    onlyHere('the same, beyond the 1 GiB never filled', 'GiB', Number(ofGiven.toFixed(2))),
    onlyHere('FMFI of the largest zone', '', free.fmfi / 100),
  ];
  return {
    here: `${seconds.toFixed(1)} s of faults and calls for one pass; of ${given} GiB given back ${ofGiven.toFixed(2)} are free in blocks of 2 MiB`,
    verdict: verdictOf(parts),
    why: 'one pass over 24 GiB at the published cost of a fault takes a fifth of the published time; how often it was passed over, and until when, is not known',
    parts,
  };
}

function freeOf({ machine }: System): Free {
  let blocks = 0;
  let frames = 0;
  for (let zone = 0; zone < machine.zoneCount; zone++) {
    blocks += freeBlocksOf(machine, zone, HUGE_ORDER);
    frames += freeBlocksOf(machine, zone, 0);
  }
  const fmfi = externalFragmentation(machine, machine.zoneCount - 1, HUGE_ORDER);
  return { blocks, gib: (frames * 4096) / GIB_BYTES, fmfi };
}
