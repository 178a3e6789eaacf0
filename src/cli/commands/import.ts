import { basename, dirname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import {
  copyTrace,
  importPerfScript,
  importStrace,
  importTracefs,
  type TraceReader,
  writerFor,
} from '../../trace/index.ts';
import { openTraceFile, readLines, readTextIfThere, writeFileAtomically } from '../files.ts';
import { print, printJson } from '../output.ts';

const FORMATS = ['tracefs', 'strace', 'perf'] as const;
type Format = (typeof FORMATS)[number];

export function addImport(program: Command): void {
  program
    .command('import')
    .description("turn another tool's recording into a trace")
    .argument('<file>', 'the recording; .gz is undone')
    .addOption(
      new Option('--format <format>', 'what it is').choices([...FORMATS]).makeOptionMandatory(),
    )
    .requiredOption(
      '-o, --output <file>',
      'the trace: text for .ndjson and .ndjson.gz, else binary',
    )
    .option('--json', 'one JSON document on standard output')
    .action((file: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<{ format: Format; output: string; json?: boolean }>();
      finish(openRecording(file, flags.format), flags.output, flags.json === true);
    });
  program
    .command('export')
    .description('a trace in its other form')
    .argument('<file>', 'a trace')
    .option('-o, --output <file>', 'text for .ndjson and .ndjson.gz, else binary')
    .option('--to <file>', 'the same')
    .option('--json', 'one JSON document on standard output')
    .action((file: string, _flags: unknown, command: Command) => {
      const { output, to, json } = command.optsWithGlobals<ExportFlags>();
      const target = output ?? to;
      if (target === undefined) throw new InputError('export: name the file to write: -o FILE');
      finish(openTraceFile(file), target, json === true);
    });
}

interface ExportFlags {
  output?: string;
  to?: string;
  json?: boolean;
}

function finish(reader: TraceReader, output: string, isJson: boolean): void {
  let events = 0;
  writeFileAtomically(output, (sink) => {
    events = copyTrace(reader, writerFor(output, sink, reader.header));
  });
  if (isJson) printJson({ output, events, header: reader.header });
  else print(`${output}: ${events} events`);
}

function openRecording(file: string, format: Format): TraceReader {
  const name = basename(file)
    .replace(/\.gz$/, '')
    .replace(/\.(trace|strace|perf-script|txt)$/, '');
  const trace = readLines(file);
  switch (format) {
    case 'strace':
      return importStrace({ trace, name });
    case 'perf':
      return importPerfScript({ trace, name });
    case 'tracefs': {
      const beside = (ending: string): string => join(dirname(file), name + ending);
      const maps = readTextIfThere(beside('.maps.gz')) ?? readTextIfThere(beside('.maps'));
      const status = readTextIfThere(beside('.status.txt'));
      return importTracefs({
        trace,
        name,
        ...(maps === undefined ? {} : { maps }),
        ...(status === undefined ? {} : { status }),
      });
    }
    default:
      throw new InputError(`--format ${format}: want ${FORMATS.join(', ')}`);
  }
}
