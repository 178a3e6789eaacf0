import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { InputError } from '../base/index.ts';
import { type ByteSink, openTrace, type TraceReader } from '../trace/index.ts';

const CHUNK_BYTES = 1 << 16;
/** Compressed text is undone in memory; what would not fit is to be decompressed first. */
const GUNZIPPED_MAX_BYTES = 1 << 30;

/**
 * The bytes of a file or pipe in pieces, compression undone. Throws InputError if it cannot be read.
 */
export function* readChunks(path: string): Iterable<Uint8Array> {
  const fd = openForReading(path);
  try {
    const first = readChunk(path, fd);
    if (first[0] === 0x1f && first[1] === 0x8b) {
      yield gunzip(path, readRest(path, fd, first));
      return;
    }
    for (let chunk = first; chunk.length > 0; chunk = readChunk(path, fd)) yield chunk;
  } finally {
    closeSync(fd);
  }
}

/** What comes next, in a buffer of its own: readers may keep it. Empty at the end. */
function readChunk(path: string, fd: number): Uint8Array {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  try {
    return chunk.subarray(0, readSync(fd, chunk, 0, CHUNK_BYTES, null));
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${errorCode(error)})`);
  }
}

function readRest(path: string, fd: number, first: Uint8Array): Uint8Array {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let chunk = first; chunk.length > 0; chunk = readChunk(path, fd)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > GUNZIPPED_MAX_BYTES) throw tooLarge(path);
  }
  return Buffer.concat(chunks);
}

function openForReading(path: string): number {
  try {
    if (statSync(path).isDirectory()) throw new InputError(`${path}: is a directory, want a file`);
    return openSync(path, 'r');
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: cannot be read (${errorCode(error)})`);
  }
}

function gunzip(path: string, bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: GUNZIPPED_MAX_BYTES });
  } catch (error) {
    if (errorCode(error) === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(path);
    throw new InputError(`${path}: damaged gzip data (${errorCode(error)})`);
  }
}

function tooLarge(path: string): InputError {
  return new InputError(`${path}: over 1 GiB when decompressed; decompress it with gunzip first`);
}

function errorCode(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? String(error);
}

/** The lines of a text file, compression undone. */
export function* readLines(path: string): Iterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for (const chunk of readChunks(path)) {
    // One piece of at most CHUNK_BYTES or of GUNZIPPED_MAX_BYTES at a time: cut it in turn.
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
      const text = rest + decoder.decode(chunk.subarray(at, at + CHUNK_BYTES), { stream: true });
      const lines = text.split('\n');
      rest = lines.pop() as string;
      if (rest.length > 1 << 20) throw new InputError(`${path}: a line of over 1 MiB`);
      yield* lines;
    }
  }
  if (rest !== '') yield rest;
}

/** The whole text of a file. Throws InputError if it cannot be read. */
export function readText(path: string): string {
  return [...readLines(path)].join('\n');
}

/** The whole text of a file, or undefined if there is none. */
export function readTextIfThere(path: string): string | undefined {
  return existsSync(path) ? readText(path) : undefined;
}

/** Opens a trace file of either form. */
export function openTraceFile(path: string): TraceReader {
  return openTrace(basename(path), readChunks(path));
}

/** Opens a trace file any number of times; what came from a pipe is kept for the next time. */
export function traceOpener(path: string): () => TraceReader {
  if (statSync(path).isFile()) return () => openTraceFile(path);
  const kept: Uint8Array[] = [];
  let isRead = false;
  function* readAndKeep(): Iterable<Uint8Array> {
    for (const chunk of readChunks(path)) {
      kept.push(chunk);
      yield chunk;
    }
  }
  return () => {
    const chunks = isRead ? kept : readAndKeep();
    isRead = true;
    return openTrace(basename(path), chunks);
  };
}

/**
 * A file that appears whole or not at all: bytes go to a temporary file beside it, `commit` renames
 * it, `discard` removes it. Names that end in .gz are compressed.
 */
export class AtomicFile {
  readonly #path: string;
  readonly #temporary: string;
  readonly #fd: number;
  readonly #isGzip: boolean;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(path: string) {
    this.#path = path;
    this.#temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
    this.#isGzip = path.endsWith('.gz');
    try {
      mkdirSync(dirname(path), { recursive: true });
      this.#fd = openSync(this.#temporary, 'w');
    } catch (error) {
      throw new InputError(`${path}: cannot be written (${errorCode(error)})`);
    }
  }

  readonly write: ByteSink = (bytes) => {
    if (!this.#isGzip) {
      writeAll(this.#fd, bytes);
      return;
    }
    this.#pending.push(bytes.slice());
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes > 1 << 22) this.#flush();
  };

  /** Members of a gzip file may follow each other, so it is compressed piece by piece. */
  #flush(): void {
    if (this.#pendingBytes === 0) return;
    writeAll(this.#fd, gzipSync(Buffer.concat(this.#pending)));
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  commit(): void {
    if (this.#isGzip) this.#flush();
    closeSync(this.#fd);
    renameSync(this.#temporary, this.#path);
  }

  discard(): void {
    closeSync(this.#fd);
    rmSync(this.#temporary, { force: true });
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** Runs `fill` with a file's sink; the file appears only if it did not throw. */
export function writeFileAtomically(path: string, fill: (sink: ByteSink) => void): void {
  const file = new AtomicFile(path);
  try {
    fill(file.write);
  } catch (error) {
    file.discard();
    throw error;
  }
  file.commit();
}
