import type { RunResult } from '../replay/result.ts';
import type { Figure, FigureContext, FigurePart, FigureResult } from './figure.ts';
import { onlyHere, verdictOf, within } from './parts.ts';
import { runWorkload } from './run-workload.ts';

/** Sharing page tables between processes that ask for it: the numbers of mshare's cover letters. */
const POSTED =
  'A. Yznaga, K. Aziz, "[PATCH v3 00/22] Add support for shared PTEs across processes", 20 August 2025, cover letter; seed 004';
const GIB_KIB = 2 ** 20;
const CLIENTS = 1500;
const SGA_GIB = 300;
const SERVER_GIB = 512;
const PLAIN = 'linux-6.18';
const WORKLOAD = {
  name: 'workload',
  value: `${CLIENTS} processes that each touch all of a shared ${SGA_GIB} GiB, one after the other`,
  source: 'seed 004',
};

export const MSHARE_FIGURES: readonly Figure[] = [
  {
    id: 'mshare.per-page',
    seed: '004',
    what: 'entries of 2,000 processes for one shared page of 4 KiB',
    unit: 'bytes',
    published: '8 bytes in each of 2,000 processes, "together that adds up to 8K of memory"',
    source: POSTED,
    method: 'engine',
    inputs: [
      {
        name: 'workload',
        value: '2,000 processes that each touch all of a shared 1 GiB',
        source: 'ours: so much that every table is full',
      },
    ],
    rule: '8 bytes a process; and the sum as published, within a tenth',
    isQuick: true,
    run: perPage,
  },
  {
    id: 'mshare.worst-case',
    seed: '004',
    what: 'page tables of all clients together',
    unit: 'GiB',
    published: '878 GB+ for just the PTEs of 1,500 processes that map every page of 300 GB',
    source: POSTED,
    method: 'engine',
    inputs: [WORKLOAD, { name: 'memory', value: '2 TiB, enough for all of it', source: 'ours' }],
    rule: 'last-level tables within 1 GiB of 878',
    isQuick: false,
    run: worstCase,
  },
  {
    id: 'mshare.oom',
    seed: '004',
    what: 'the same on a server with 512 GB',
    unit: 'clients',
    published:
      'out of memory "when 1500+ clients tried to share this SGA"; with shared tables there is no such growth',
    source: POSTED,
    method: 'engine',
    inputs: [
      WORKLOAD,
      {
        name: 'memory',
        value: `${SERVER_GIB} GiB, no swap: (512 − 300) GiB for tables of 600 MiB a client is room for ${roomFor()} clients`,
        source: 'arithmetic',
      },
    ],
    rule: 'without sharing the OOM killer runs, at a client within 1 % of that arithmetic; with mshare, and with Morsels, all clients run on one set of tables and a link each',
    isQuick: false,
    run: outOfMemory,
  },
];

/** Clients whose last-level tables fit beside the SGA. */
function roomFor(): number {
  return Math.floor(((SERVER_GIB - SGA_GIB) * 1024) / ((SGA_GIB * 2) as number));
}

function perPage(context: FigureContext): FigureResult {
  const processes = 2000;
  const run = runWorkload(context, 'shared-pool', PLAIN, { processes, gib: 1 });
  const sum = (run.peak.pteTables * 4096) / (GIB_KIB / 4);
  const parts = [
    within('a process', 'bytes', 8, sum / processes, 0),
    within('all processes', 'bytes', 8192, sum, 819),
  ];
  return {
    here: `${sum / processes} bytes a process, ${sum.toLocaleString('en')} bytes together`,
    verdict: verdictOf(parts),
    why: '2,000 times 8 bytes are 16,000, twice what the letter says: 8 KiB would be the entries of 1,000 processes',
    parts,
  };
}

function worstCase(context: FigureContext): FigureResult {
  const plain = runWorkload(context, 'shared-pool', PLAIN);
  const shared = runWorkload(context, 'shared-pool', `${PLAIN}+mshare`);
  const gib = (plain.peak.pteTables * 4) / GIB_KIB;
  const sharedGib = (shared.final.mshare?.['hostVmPteKiB'] ?? 0) / GIB_KIB;
  const parts = [
    within('last-level tables, without sharing', 'GiB', 878, gib, 1),
    onlyHere('all tables, without sharing', 'GiB', plain.peak.vmPteKiB / GIB_KIB),
    onlyHere('all tables, with mshare', 'GiB', sharedGib),
  ];
  return {
    here: `${gib.toFixed(1)} GiB, and ${sharedGib.toFixed(3)} GiB with mshare`,
    verdict: verdictOf(parts),
    why: 'every table was made, as the engine makes them',
    parts,
  };
}

function outOfMemory(context: FigureContext): FigureResult {
  const room = roomFor();
  const first = firstKilled(context, room);
  const shared = ['mshare', 'morsels'].map((id) => ({
    id,
    run: runWorkload(context, 'sga', `${PLAIN}+${id}`, { processes: CLIENTS, gib: SGA_GIB }),
  }));
  const parts: FigurePart[] = [
    within('client at which Linux runs out of memory', 'clients', room, first.client, room / 100),
    ...shared.flatMap(({ id, run }) => sharedParts(id, run)),
  ];
  return {
    here: `Linux kills process ${first.victim} for process ${first.client} (${Math.round(first.residentGib)} GiB resident, ${Math.round(first.tablesMib)} MiB of tables); with mshare and with Morsels all ${CLIENTS.toLocaleString('en')} run`,
    verdict: verdictOf(parts),
    why: "the arithmetic leaves out the upper tables, the index of the SGA's pages (600 MiB) and what the kernel keeps free",
    parts,
  };
}

/** Links are counted by mshare, which makes them in faults, and as mappings by Morsels. */
function sharedParts(id: string, run: RunResult): FigurePart[] {
  const counts = (id === 'mshare' ? run.final.mshare : run.final.morsels) ?? {};
  const links = counts[id === 'mshare' ? 'peakLinks' : 'maps'] ?? 0;
  const tablesKiB = counts['hostVmPteKiB'] ?? (counts['peakTables'] ?? 0) * 4;
  const { pte, upper } = { pte: SGA_GIB * 512, upper: SGA_GIB + 1 };
  return [
    within(`${id}: OOM kills`, 'processes', 0, run.final.oomKills, 0),
    within(`${id}: links`, 'entries', CLIENTS, links, 0),
    within(`${id}: page tables, one set`, 'tables', pte + upper, tablesKiB / 4, 0),
  ];
}

interface FirstKill {
  client: number;
  victim: number;
  residentGib: number;
  tablesMib: number;
}

/** The client for whom the first process is killed; looked for from a little below the arithmetic on. */
function firstKilled(context: FigureContext, room: number): FirstKill {
  const run = runWorkload(context, 'sga', PLAIN, { processes: room + 2, gib: SGA_GIB });
  const [first] = run.oom;
  if (first === undefined) return { client: Infinity, victim: 0, residentGib: 0, tablesMib: 0 };
  return {
    client: first.forPid,
    victim: first.pid,
    residentGib: first.residentKiB / GIB_KIB,
    tablesMib: first.pageTablesKiB / 1024,
  };
}
