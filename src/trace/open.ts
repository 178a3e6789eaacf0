import { InputError } from '../base/index.ts';
import { BinaryReader } from './binary/binary-reader.ts';
import { BinaryWriter } from './binary/binary-writer.ts';
import { MAGIC } from './binary/layout.ts';
import type { TraceHeader, TraceReader, TraceWriter } from './event.ts';
import { TextReader } from './text-reader.ts';
import { type ByteSink, TextWriter } from './text-writer.ts';

/**
 * Opens a trace of either form, told apart by the first bytes. Compression must have been undone.
 * Throws InputError if the beginning is neither form's.
 */
export function openTrace(name: string, chunks: Iterable<Uint8Array>): TraceReader {
  const { first, all } = peek(chunks, MAGIC.length);
  if (first[0] === 0x1f && first[1] === 0x8b) {
    throw new InputError(`${name}: byte 0: compressed by gzip; decompress it first`);
  }
  const isBinary = MAGIC.every((byte, i) => first[i] === byte);
  return isBinary ? new BinaryReader(name, all) : new TextReader(name, all);
}

/** Text for names that end in `.ndjson` or `.ndjson.gz`, else binary. Compressing is the sink's. */
export function writerFor(fileName: string, sink: ByteSink, header: TraceHeader): TraceWriter {
  const isText = /\.ndjson(?:\.gz)?$/i.test(fileName);
  return isText ? new TextWriter(sink, header) : new BinaryWriter(sink, header);
}

/** Writes all events of a reader and finishes. Gives their number. */
export function copyTrace(reader: TraceReader, writer: TraceWriter): number {
  let events = 0;
  for (let event = reader.next(); event !== null; event = reader.next()) {
    writer.write(event);
    events++;
  }
  writer.finish();
  return events;
}

/** The first bytes, and all chunks including those that were read for it. */
function peek(
  chunks: Iterable<Uint8Array>,
  length: number,
): { first: Uint8Array; all: Iterable<Uint8Array> } {
  const iterator = chunks[Symbol.iterator]();
  const first = new Uint8Array(length);
  const read: Uint8Array[] = [];
  let count = 0;
  while (count < length) {
    const { done, value } = iterator.next();
    if (done) break;
    if (value.length === 0) continue;
    read.push(value);
    first.set(value.subarray(0, length - count), count);
    count += Math.min(value.length, length - count);
  }
  const rest: Iterable<Uint8Array> = { [Symbol.iterator]: () => iterator };
  return { first: first.subarray(0, count), all: chain(read, rest) };
}

function* chain(first: readonly Uint8Array[], rest: Iterable<Uint8Array>): Iterable<Uint8Array> {
  yield* first;
  yield* rest;
}
