import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import {
  type FrameMap,
  findPreset,
  type HardwareWishes,
  kernelCostsWith,
  MAIN_KERNELS,
  parseKernels,
  parseSize,
  RegionHistory,
  type ReplayOptions,
  type RunDocument,
  replay,
  type SpacePicture,
  splitSettings,
  type TimeOptions,
  takeFrameMap,
  takePicture,
} from '../../lab/index.ts';
import { htmlReport, terminalTable } from '../../report/index.ts';
import { Op, type TraceReader } from '../../trace/index.ts';
import { writeFileAtomically } from '../files.ts';
import { hasColor, Progress, print, printJson, terminalWidth } from '../output.ts';
import { findSource, type Source } from '../sources.ts';

export interface RunFlags {
  kernel?: string[];
  machine?: string;
  set?: string[];
  seed?: string;
  report?: string;
  latency?: boolean;
  tlb?: string;
  hostPageBytes?: string;
  json?: boolean;
}

/** One document, and a picture of the address space for each run. */
export interface RunOutcome {
  document: RunDocument;
  pictures: (SpacePicture | undefined)[];
  /** For a report: regions over time, and memory at the end. */
  regions: (RegionHistory | undefined)[];
  frames: (FrameMap | undefined)[];
}

const EXAMPLES = `
Examples:
  pagelab run redis-set-bgsave-flush                  under the main kernels
  pagelab run sparse-pieces -k ways --set gib=10      each way to free tables
  pagelab run trace.ndjson -k linux+ingens --set thp=always --report r.html
  pagelab run redis-bloat -k 'linux[thp=always]' -k linux+ingens --latency`;

export function addRun(program: Command): void {
  program
    .command('run')
    .description('replay a trace, a bundled recording or a workload under one or more kernels')
    .argument('<trace or workload>', 'a file, or a name of `pagelab list`')
    .option(
      '-k, --kernel <kernel>',
      `base[+mechanism…] or a group (pagelab list); repeatable; default: ${MAIN_KERNELS.join(', ')}`,
      collect,
    )
    .option('-m, --machine <machine>', 'modelled machine (pagelab list machines)')
    .option(
      '--set <key=value>',
      'a setting of machine or kernel (pagelab list settings), workload (list NAME) or mechanism (mechanism.key=value); repeatable',
      collect,
    )
    .option('--seed <number>', 'seed of a workload or mechanism', '1')
    .option('--latency', 'model the time of faults, calls and requests')
    .option(
      '--tlb <preset>',
      'model the time of page walks too, on this hardware (pagelab list hardware)',
    )
    .option('--host-page-bytes <size>', 'page walks as in a virtual machine on pages of 4k or 2m')
    .option('--report <file.html>', 'write a report with charts')
    .option('--json', 'one JSON document on standard output')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, _flags: RunFlags, command: Command) => {
      await run(name, command.optsWithGlobals());
    });
}

/** For options that may stand several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

export function parseSeed(text: string | undefined): number {
  const seed = Number(text ?? '1');
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw new InputError(`--seed ${text}: want a whole number from 0 to 4294967295`);
  }
  return seed;
}

async function run(name: string, flags: RunFlags): Promise<void> {
  const seed = parseSeed(flags.seed);
  const { own, time, others } = splitSettings(flags.set ?? []);
  const source = findSource(name, flags.machine, others, seed);
  const outcome = runSource(source, flags.kernel ?? MAIN_KERNELS, seed, {
    settings: own,
    time: timeOptions(flags, time),
    hasReport: flags.report !== undefined,
  });
  if (flags.report !== undefined) await writeReport(flags.report, outcome);
  if (flags.json) {
    printJson(outcome.document);
    return;
  }
  print(terminalTable(outcome.document, { color: hasColor(), width: terminalWidth() }));
  if (flags.report !== undefined) print(`report: ${flags.report}`);
}

/** Times are modelled where an option is about them; else where the trace wants it. */
function timeOptions(
  { latency, tlb, hostPageBytes }: RunFlags,
  settings: ReadonlyMap<string, string>,
): TimeOptions | undefined {
  if (tlb !== undefined) findPreset(tlb);
  if (hostPageBytes !== undefined) parseSize('--host-page-bytes', hostPageBytes);
  kernelCostsWith(settings);
  const hardware: HardwareWishes = {
    ...(tlb === undefined ? {} : { preset: tlb }),
    ...(hostPageBytes === undefined ? {} : { hostPageBytes }),
  };
  const isAsked = latency === true || settings.size > 0 || Object.keys(hardware).length > 0;
  return isAsked ? { settings, hardware } : undefined;
}

export interface RunWishes {
  /** Those of mechanisms. */
  readonly settings?: readonly string[];
  readonly time?: TimeOptions | undefined;
  /** There will be a report: its pictures cost looks at tables and frames. */
  readonly hasReport?: boolean;
}

/** Replays a source under each kernel. */
export function runSource(
  source: Source,
  kernelNames: readonly string[],
  seed: number,
  { settings = [], time, hasReport = false }: RunWishes = {},
): RunOutcome {
  const kernels = parseKernels(kernelNames, settings);
  const counted = source.isGenerated ? GENERATED : countTrace(source.open());
  const pictures: (SpacePicture | undefined)[] = [];
  const regions: (RegionHistory | undefined)[] = [];
  const frames: (FrameMap | undefined)[] = [];
  const runs = kernels.map((kernel) => {
    const progress = new Progress(`${source.name} under ${kernel.name}`);
    let picture: SpacePicture | undefined;
    const options: ReplayOptions = {
      machine: source.machine,
      seed,
      nowMs: () => performance.now(),
      onProgress: (events) => progress.update(events),
    };
    if (hasReport) {
      options.onSample = (system, event) => {
        picture = takePicture(system, event.pid);
      };
      options.onEnd = (system) => {
        picture ??= takePicture(system, counted.firstPid);
        frames.push(takeFrameMap(system.machine));
      };
    }
    if (time !== undefined) options.time = time;
    if (counted.sampledPid !== 0) options.mainPid = counted.sampledPid;
    else options.mainPid = counted.firstPid;
    if (hasReport) {
      options.regions = new RegionHistory(options.mainPid);
      regions.push(options.regions);
    }
    const result = replay(source.open(), kernel, options);
    progress.stop();
    pictures.push(picture);
    return result;
  });
  const { name } = source;
  const [first] = runs;
  const trace = {
    name,
    source: source.isGenerated ? `workload ${name}` : counted.source,
    events: first?.events ?? counted.events,
    processes: source.isGenerated
      ? Object.keys(first?.final.processes ?? {}).length
      : counted.processes,
  };
  return { document: { pagelab: 1, trace, runs }, pictures, regions, frames };
}

interface CountedTrace {
  source: string;
  events: number;
  processes: number;
  firstPid: number;
  /** The process with the most samples; 0 for none. */
  sampledPid: number;
}

/** Stands in for the first pass over a workload: its first process is 1. */
const GENERATED: CountedTrace = { source: '', events: 0, processes: 0, firstPid: 1, sampledPid: 0 };

/** A first pass over the trace: malformed input is found before anything is run. */
function countTrace(reader: TraceReader): CountedTrace {
  const pids = new Set<number>();
  const samples = new Map<number, number>();
  let events = 0;
  let firstPid = 0;
  for (let event = reader.next(); event !== null; event = reader.next()) {
    events += 1;
    if (event.op === Op.mark) continue;
    if (firstPid === 0) firstPid = event.pid;
    pids.add(event.pid);
    if (event.op === Op.fork) pids.add(event.child);
    if (event.op === Op.sample) samples.set(event.pid, (samples.get(event.pid) ?? 0) + 1);
  }
  const most = [...samples].sort((a, b) => b[1] - a[1])[0];
  return {
    source: String(reader.header.source ?? ''),
    events,
    processes: pids.size,
    firstPid,
    sampledPid: most?.[0] ?? 0,
  };
}

export async function writeReport(path: string, outcome: RunOutcome): Promise<void> {
  const html = await htmlReport(outcome.document, outcome.pictures, outcome);
  writeFileAtomically(path, (sink) => sink(new TextEncoder().encode(html)));
}
