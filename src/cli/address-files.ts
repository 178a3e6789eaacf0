import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { InputError } from '../base/index.ts';
import {
  type AddressOptions,
  type AddressSource,
  ChampsimSource,
  DrmemtraceSource,
  DrmemtraceViewSource,
  LackeySource,
  openTrace,
  TouchSource,
} from '../trace/index.ts';
import { readChunks } from './files.ts';

export const ADDRESS_FORMATS = ['lackey', 'champsim', 'drmemtrace', 'pagelab'] as const;
export type AddressFormat = (typeof ADDRESS_FORMATS)[number];

const XZ_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a];
const ZIP_MAGIC = [0x50, 0x4b, 3, 4];
/** Type and size of a finished drmemtrace trace's first record, its header. */
const DRMEMTRACE_HEADER = [25, 0];
const BINARY_MAGIC = 'PGLB';

/** Opens an address trace; the format is told from its name and its first bytes if not given. */
export function openAddresses(
  path: string,
  format: AddressFormat | undefined,
  hasFetches: boolean,
): { source: AddressSource; format: AddressFormat } {
  if (!existsSync(path)) throw new InputError(`${path}: no such file`);
  const { first, chunks } = peek(readChunks(path));
  refuseArchives(path, first);
  const options = { name: basename(path), hasFetches };
  const known = format ?? guessFormat(path, first);
  return { source: open(known, first, chunks, options), format: known };
}

function open(
  format: AddressFormat,
  first: Uint8Array,
  chunks: Iterable<Uint8Array>,
  options: AddressOptions,
): AddressSource {
  switch (format) {
    case 'lackey':
      return new LackeySource(chunks, options);
    case 'champsim':
      return new ChampsimSource(chunks, options);
    case 'drmemtrace':
      return begins(first, DRMEMTRACE_HEADER)
        ? new DrmemtraceSource(chunks, options)
        : new DrmemtraceViewSource(chunks, options);
    case 'pagelab':
      return new TouchSource(openTrace(options.name, chunks));
  }
}

/** The first piece, and all pieces from the beginning. */
function peek(chunks: Iterable<Uint8Array>): { first: Uint8Array; chunks: Iterable<Uint8Array> } {
  const rest = chunks[Symbol.iterator]();
  const { done, value } = rest.next();
  const first = done === true ? new Uint8Array(0) : value;
  function* all(): Iterable<Uint8Array> {
    yield first;
    for (let next = rest.next(); next.done !== true; next = rest.next()) yield next.value;
  }
  return { first, chunks: all() };
}

/** Compression that Node cannot undo: says what to do. */
function refuseArchives(path: string, first: Uint8Array): void {
  if (begins(first, XZ_MAGIC)) {
    const pipe = `xz -dc ${basename(path)} | pagelab tlb /dev/stdin --format champsim`;
    throw new InputError(`${path}: compressed by xz; decompress it, as in: ${pipe}`);
  }
  if (begins(first, ZIP_MAGIC)) {
    const pipe = `unzip -p ${basename(path)} | pagelab tlb /dev/stdin --format drmemtrace`;
    throw new InputError(`${path}: a zip archive; decompress it, as in: ${pipe}`);
  }
}

function guessFormat(path: string, first: Uint8Array): AddressFormat {
  const text = new TextDecoder('latin1').decode(first.subarray(0, 4096));
  if (text.startsWith(BINARY_MAGIC) || text.startsWith('{')) return 'pagelab';
  if (/^(==\d+==|I {2}[0-9a-f]| [LSM] [0-9a-f])/m.test(text)) return 'lackey';
  if (begins(first, DRMEMTRACE_HEADER) || text.includes(' byte(s) @ 0x')) return 'drmemtrace';
  if (/champsim/i.test(basename(path))) return 'champsim';
  throw new InputError(
    `${path}: format not recognised; want --format ${ADDRESS_FORMATS.join(', ')}`,
  );
}

function begins(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, at) => bytes[at] === byte);
}
