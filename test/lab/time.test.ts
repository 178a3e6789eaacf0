import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../src/base/index.ts';
import { HUGE_PAGE_DEFAULTS, validateMachine } from '../../src/engine/index.ts';
import {
  findWorkload,
  LatencyHistogram,
  openWorkload,
  parseKernel,
  type ReplayOptions,
  RequestLoop,
  type RunResult,
  replay,
  type TimeResult,
  workloadValues,
} from '../../src/lab/index.ts';
import { openTrace, type ServerShape } from '../../src/trace/index.ts';

const SEED = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const MIB = 2 ** 20;
const BASE = 0x100000000000;

/** 3.6 µs and 378 µs as published, from their parts: 2870 + 713, 13,000 + 512 x 713. */
const SMALL_NS = 3583;
const HUGE_NS = 13_000 + 512 * 713;

function run(
  events: readonly object[],
  options: ReplayOptions = {},
  kernel = 'linux-6.1',
  header: object = {},
): RunResult {
  const lines = [{ pagelab: 1, source: 'by hand', ...header }, ...events];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const trace = openTrace('by hand', [new TextEncoder().encode(text)]);
  const machine = { nodeBytes: [64 * MIB], ...options.machine };
  return replay(trace, parseKernel(kernel), { time: {}, seed: SEED, ...options, machine });
}

function timeOf(result: RunResult): TimeResult {
  assert.ok(result.time !== undefined);
  return result.time;
}

const hex = (addr: number): string => `0x${addr.toString(16)}`;
const area = (mib: number): object => {
  const flags = 'private,anon,fixed';
  return { op: 'mmap', pid: 1, addr: hex(BASE), len: mib * MIB, prot: 'rw', flags };
};
const touch = (page: number, count: number, write = true): object => {
  return { op: 'touch', pid: 1, addr: hex(BASE + page * 4096), write, count };
};

test('a write fault is entered and zeroed, one of a zero page is not zeroed', () => {
  const { faults, causes } = timeOf(run([area(2), touch(0, 10), touch(20, 5, false)]));
  assert.equal(faults.count, 15);
  assert.equal(faults.maxNs, SMALL_NS);
  assert.equal(faults.meanNs, (10 * SMALL_NS + 5 * 2870) / 15);
  assert.equal(causes.entry, 15 * 2870);
  assert.equal(causes.zeroing, 10 * 713);
});

test('a huge fault takes the published 378 µs, the second page of it nothing', () => {
  const machine = { huge: { enabled: 'always' } } as const;
  const { faults } = timeOf(run([area(4), touch(0, 512)], { machine }));
  assert.equal(faults.count, 1);
  assert.equal(faults.maxNs, HUGE_NS);
  assert.ok(Math.abs(HUGE_NS - 378_000) < 378);
});

test('a fault of 64 kB is entered once and zeroes sixteen pages', () => {
  const { faults } = timeOf(
    run([area(1), touch(0, 32)], {}, 'linux-6.1[thp=never,thp64kB=always]'),
  );
  assert.equal(faults.count, 2);
  assert.equal(faults.maxNs, 2870 + 16 * 713);
});

test('memory zeroed ahead: the fault is only entered, and a thread has zeroed', () => {
  const later = { ...area(4), t: 2e9 };
  const kernel = 'linux-6.1+hawkeye[zeroBlocks=1000]';
  const { faults, backgroundNs } = timeOf(
    run([{ ...area(2), t: 0 }, later, touch(0, 1)], {}, kernel),
  );
  assert.equal(faults.count, 1);
  assert.equal(faults.maxNs, 13_000);
  // Of 64 MiB all but the kernel's 4, and the 4 that the first tables began.
  assert.equal(backgroundNs, (56 / 4) * 1024 * 713);
});

test('a reservation adds nothing to a fault, and its huge page no work', () => {
  const { faults, backgroundNs } = timeOf(
    run([area(2), touch(0, 512)], {}, 'linux-6.1+reservations'),
  );
  assert.equal(faults.count, 512);
  assert.equal(faults.maxNs, SMALL_NS);
  assert.equal(backgroundNs, 0);
});

test('a copy in a child: entered and copied, not zeroed', () => {
  const events = [area(2), touch(0, 4), { op: 'fork', pid: 1, child: 2 }];
  const child = { ...touch(0, 1), pid: 2 };
  const { causes, faults, calls } = timeOf(run([...events, child]));
  assert.equal(causes.copying, 731);
  assert.equal(causes.zeroing, 4 * 713);
  assert.equal(faults.count, 5);
  // mmap; and fork with its four pages at 107 ns.
  assert.equal(calls.maxNs, 1500 + 4 * 107);
});

test('on-demand fork: an entry for each table then, each entry of a table at the first write', () => {
  const events = [area(4), touch(0, 600), { op: 'fork', pid: 1, child: 2 }];
  const child = [
    { ...touch(0, 1, false), pid: 2 },
    { ...touch(0, 2), pid: 2 },
  ];
  const { calls, causes, faults, forks } = timeOf(
    run([...events, ...child], {}, 'linux-6.18+on-demand-fork'),
  );
  assert.equal(forks?.count, 1);
  assert.equal(forks.maxNs, 1500 + 2 * 107);
  assert.equal(calls.maxNs, 1500 + 2 * 107);
  // The read is no fault; the first write copies 512 entries, and each its page.
  assert.equal(faults.count, 602);
  assert.equal(faults.maxNs, 2870 + 512 * 107 + 731);
  assert.equal(causes.copying, 2 * 731);
  assert.equal(causes.zeroing, 600 * 713);
});

test('exit of a parent whose tables go on costs no zap of them', () => {
  const events = [area(2), touch(0, 512), { op: 'fork', pid: 1, child: 2 }];
  const back = { op: 'munmap', pid: 1, addr: hex(BASE), len: 2 * MIB };
  const { calls } = timeOf(run([...events, back], {}, 'linux-6.18+on-demand-fork'));
  assert.equal(calls.maxNs, 1500 + 107);
});

test('giving back: a call, and each page or the huge page whole', () => {
  const back = { op: 'madvise', pid: 1, addr: hex(BASE), len: 2 * MIB, advice: 'dontneed' };
  const small = timeOf(run([area(2), touch(0, 100), back]));
  assert.equal(small.calls.maxNs, 1500 + 100 * 337);
  const machine = { huge: { enabled: 'always' } } as const;
  const huge = timeOf(run([area(2), touch(0, 1), back], { machine }));
  assert.equal(huge.calls.maxNs, 1500 + 6600);
});

test('constants can be set; others are refused by name', () => {
  const settings = new Map([['faultNs', '1000']]);
  const { faults, constants } = timeOf(run([area(2), touch(0, 1)], { time: { settings } }));
  assert.equal(faults.maxNs, 1713);
  const set = constants.find(({ name }) => name === 'faultNs');
  assert.equal(set?.source, 'set by --set');
  const unknown = { settings: new Map([['faultNS', '1']]) };
  assert.throws(
    () => run([area(2)], { time: unknown }),
    /time\.faultNS: no such constant.*faultNs/,
  );
});

test('times are modelled only where asked for or where there is a server', () => {
  const { time: _, ...untimed } = { time: {} };
  const lines = [area(2), touch(0, 1)];
  const text = [{ pagelab: 1 }, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('');
  const trace = openTrace('x', [new TextEncoder().encode(text)]);
  assert.equal(replay(trace, parseKernel('linux-6.1'), untimed).time, undefined);
});

test('requests of one client: throughput is one by the mean, and faults belong to them', () => {
  const request = (name: string, work: number): object => ({ op: 'request', pid: 1, name, work });
  const server = { workers: 1, clients: 1, thinkNs: 0 };
  const { requests, faults } = timeOf(
    run(
      [
        area(2),
        touch(0, 1),
        request('a', 1000),
        touch(1, 1),
        request('b', 5000),
        touch(1, 1),
        request('', 0),
        touch(2, 1),
      ],
      {},
      'linux-6.1',
      { server },
    ),
  );
  assert.ok(requests !== undefined);
  // Outside requests: before the first and after the last.
  assert.equal(faults.count, 2);
  assert.equal(requests.faults.count, 1);
  const { a, b } = requests.classes;
  assert.equal(a?.faultNs, SMALL_NS);
  assert.equal(b?.faultNs, 0);
  const total = 1000 + 5000 + SMALL_NS + (a?.walkNs ?? 0) + (b?.walkNs ?? 0);
  assert.ok(Math.abs(requests.spanNs - total) < 1e-6);
  assert.ok(Math.abs(requests.throughputPerSecond - 2e9 / total) < 1e-6);
  assert.equal(requests.all.service.count, 2);
});

test('page walks: a first touch of 4 KiB walks four levels from memory, the next one hits', () => {
  const request = { op: 'request', pid: 1, name: 'a', work: 0 };
  const time = { hardware: { walkCaches: 'none', costs: new Map([['dramCycles', '1000']]) } };
  const server = { workers: 1, clients: 1, thinkNs: 0 };
  const events = [area(2), touch(0, 1), request, touch(0, 1), touch(0, 1)];
  const { requests } = timeOf(run(events, { time }, 'linux-6.1', { server }));
  // Four loads from memory and one cycle for the walk caches, at 2.6 GHz.
  assert.ok(Math.abs((requests?.all.walkNs ?? 0) - 4001 / 2.6) < 1e-9);
});

test('page walks: of a huge page three levels, on small pages of a host 24 loads at most', () => {
  const request = { op: 'request', pid: 1, name: 'a', work: 0 };
  const server = { workers: 1, clients: 1, thinkNs: 0 };
  const machine = { huge: { enabled: 'always' } } as const;
  const costs = new Map(
    ['l1dCycles', 'l2Cycles', 'l3Cycles', 'dramCycles'].map((name) => [name, '100']),
  );
  const walkNs = (hostPageBytes?: string): number => {
    const host = hostPageBytes === undefined ? {} : { hostPageBytes };
    const time = { hardware: { walkCaches: 'none', costs, ...host } };
    const events = [area(2), touch(0, 1), request, touch(3, 1)];
    return (
      timeOf(run(events, { time, machine }, 'linux-6.1', { server })).requests?.all.walkNs ?? 0
    );
  };
  assert.ok(Math.abs(walkNs() - 301 / 2.6) < 1e-9);
  // 2 MiB on 4 KiB: 19 loads, on 2 MiB: 15.
  assert.ok(Math.abs(walkNs('4k') - 1901 / 2.6) < 1e-9);
  assert.ok(Math.abs(walkNs('2m') - 1501 / 2.6) < 1e-9);
});

test('histogram: percentiles are at most 1/64 above those of the sorted list, means exact', (t) => {
  t.diagnostic(`PAGELAB_SEED=${SEED}`);
  const random = new Random(SEED);
  const histogram = new LatencyHistogram();
  const all: number[] = [];
  for (let i = 0; i < 5000; i++) {
    const ns = Math.floor(2 ** (random.below(3500) / 100)) + random.below(50);
    histogram.add(ns);
    all.push(ns);
  }
  all.sort((a, b) => a - b);
  const summary = histogram.summary();
  const rank = (share: number): number => all[Math.ceil(all.length * share) - 1] as number;
  for (const [share, ns] of [
    [0.5, summary.p50Ns],
    [0.9, summary.p90Ns],
    [0.99, summary.p99Ns],
    [0.999, summary.p999Ns],
  ] as const) {
    assert.ok(ns >= rank(share) && ns <= rank(share) * (1 + 1 / 64) + 1, `${share}: ${ns}`);
  }
  assert.equal(summary.maxNs, all.at(-1));
  const mean = all.reduce((sum, ns) => sum + ns, 0) / all.length;
  assert.ok(Math.abs(summary.meanNs / mean - 1) < 1e-12);
  assert.equal(
    summary.buckets.reduce((sum, [, count]) => sum + count, 0),
    all.length,
  );
});

test('request loop: two processors, three clients, by hand', () => {
  const loop = new RequestLoop({ workers: 2, clients: 3, thinkNs: 0 }, new Random(1), 100);
  const serve = (ns: number): number => loop.end(loop.begin(), ns);
  assert.equal(serve(10), 10); // at 100 on the first
  assert.equal(serve(30), 30); // at 100 on the second
  assert.equal(serve(10), 20); // sent at 100, begun at 110
  assert.equal(serve(10), 20); // the first client again: sent at 110, begun at 120
  loop.occupy(120, 15); // a thread of the kernel has the processor that is free at 130 until 145
  assert.equal(serve(5), 15); // sent at 120, begun at 130 on the second
  assert.equal(loop.spanNs, 35);
});

test('request loop: the same as a list that is searched', (t) => {
  t.diagnostic(`PAGELAB_SEED=${SEED}`);
  const random = new Random(SEED);
  for (let round = 0; round < 20; round++) {
    const shape: ServerShape = {
      workers: 1 + random.below(5),
      clients: 1 + random.below(20),
      thinkNs: 0,
    };
    const loop = new RequestLoop(shape, random, 0);
    const clients = new Array<number>(shape.clients).fill(0);
    const workers = new Array<number>(shape.workers).fill(0);
    for (let i = 0; i < 300; i++) {
      const serviceNs = random.below(1000);
      const sentNs = Math.min(...clients);
      const freeNs = Math.min(...workers);
      const doneNs = Math.max(sentNs, freeNs) + serviceNs;
      clients[clients.indexOf(sentNs)] = doneNs;
      workers[workers.indexOf(freeNs)] = doneNs;
      assert.equal(loop.end(loop.begin(), serviceNs), doneNs - sentNs);
    }
  }
});

test('no fault waits for a promotion under Ingens; Linux compacts in the handler', (t) => {
  t.diagnostic(`PAGELAB_SEED=${SEED}`);
  const workload = findWorkload('cloudstone');
  assert.ok(workload !== undefined);
  const settings = {
    requests: 300,
    workers: 4,
    clients: 8,
    poolMiB: 160,
    agedMiB: 400,
    cacheMiB: 400,
    fileGiB: 1,
  };
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  const served = (kernel: string, enabled: 'always' | 'never'): RunResult => {
    // Nobody compacts ahead of need, as before Linux 5.9.
    const machine = {
      nodeBytes: [512 * MIB],
      huge: { enabled, defrag: 'always' },
      compactionProactiveness: 0,
    } as const;
    const reader = openWorkload(workload, workloadValues(workload, texts), SEED);
    return replay(reader, parseKernel(kernel), {
      machine: { ...machine, huge: { ...HUGE_PAGE_DEFAULTS, ...machine.huge } },
      seed: SEED,
      onEnd: (system) => validateMachine(system.machine),
    });
  };
  const faultsOf = (result: RunResult) => timeOf(result).requests?.faults;
  const base = faultsOf(served('linux-6.18', 'never'));
  const linuxRun = served('linux-6.18', 'always');
  const linux = faultsOf(linuxRun);
  const ingensRun = served('linux-6.18+ingens', 'always');
  const ingens = faultsOf(ingensRun);
  assert.ok((ingensRun.final.promotions ?? 0) > 0);
  assert.equal(ingens?.maxNs, base?.maxNs);
  assert.equal(ingens?.maxNs, SMALL_NS);
  assert.ok((linuxRun.final.hugePages?.compactionsInFault ?? 0) > 0);
  assert.ok((linux?.maxNs ?? 0) > HUGE_NS);
});

test('where all free memory is in pieces, a fault waits for compaction under Linux, and not under Ingens', () => {
  const workload = findWorkload('competing');
  assert.ok(workload !== undefined);
  const settings = { processes: 2, regions: 48, fragmentMiB: 900, seconds: 20 };
  const texts = new Map(Object.entries(settings).map(([key, value]) => [key, String(value)]));
  const worst = (kernel: string, enabled: 'always' | 'never'): number => {
    const huge = { ...HUGE_PAGE_DEFAULTS, enabled, defrag: 'always' } as const;
    const reader = openWorkload(workload, workloadValues(workload, texts), SEED);
    // Else kcompactd leaves the handler nothing to do.
    const machine = { nodeBytes: [1024 * MIB], huge, compactionProactiveness: 0 };
    return timeOf(replay(reader, parseKernel(kernel), { machine, time: {} })).faults.maxNs;
  };
  assert.equal(worst('linux-6.18', 'never'), SMALL_NS);
  assert.equal(worst('linux-6.18+ingens', 'always'), SMALL_NS);
  assert.ok(worst('linux-6.18', 'always') > HUGE_NS + 100_000);
});
