import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, utf8Bytes, utf8Text } from '../../src/base/index.ts';
import { copyTrace, openTrace, writerFor } from '../../src/trace/index.ts';
import { anyTraceText, seedOf } from './arbitrary-trace.ts';

function convert(bytes: Uint8Array, to: string, chunkBytes = 1 << 16): Uint8Array {
  const out: Uint8Array[] = [];
  const reader = openTrace('in', slices(bytes, chunkBytes));
  copyTrace(
    reader,
    writerFor(to, (chunk) => out.push(chunk.slice()), reader.header),
  );
  return Buffer.concat(out);
}

function* slices(bytes: Uint8Array, size: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('text to binary to text gives the same text, in chunks of any size', (t) => {
  const seed = seedOf(t);
  fc.assert(
    fc.property(anyTraceText, fc.integer({ min: 1, max: 40 }), (text, chunkBytes) => {
      const canonical = convert(utf8Bytes(text), 'a.ndjson');
      const binary = convert(canonical, 'b.pagelab', chunkBytes);
      assert.equal(utf8Text(convert(binary, 'c.ndjson', chunkBytes)), utf8Text(canonical));
      assert.deepEqual(
        utf8Text(canonical).split('\n').filter(Boolean).map(meaning),
        text.split('\n').filter(Boolean).map(meaning),
      );
    }),
    { seed, numRuns: 300 },
  );
});

/** A line without what may be left out because it is the default. */
function meaning(line: string): unknown {
  const value = JSON.parse(line);
  if (value.op === 'touch') {
    value.write ??= false;
    if (value.count === 1) delete value.count;
    if (value.stride === 4096) delete value.stride;
  }
  if (value.off === 0 && value.op === 'mmap') delete value.off;
  if (value.file === '' && value.op === 'mmap') delete value.file;
  if (value.len === 0 && value.op === 'brk') delete value.len;
  if (value.flags === '' && value.op !== 'mmap' && value.op !== 'mlockall') delete value.flags;
  if (value.vfork === false) delete value.vfork;
  return value;
}

test('a binary trace cut anywhere or with any byte changed is refused', () => {
  const lines = [
    '{"pagelab":1,"source":"s"}',
    '{"op":"mmap","pid":1,"addr":"0x1000","len":8192,"prot":"rw","flags":"private,anon,fixed"}',
  ];
  for (let i = 0; i < 50; i++)
    lines.push(`{"op":"touch","pid":1,"addr":"0x${(4096 + i).toString(16)}","write":true}`);
  const binary = convert(utf8Bytes(lines.join('\n') + '\n'), 'b.pagelab');
  for (let length = 0; length < binary.length; length++) {
    assert.throws(() => convert(binary.subarray(0, length), 'x.pagelab'), InputError);
  }
  for (let at = 0; at < binary.length; at++) {
    const damaged = Uint8Array.from(binary);
    damaged[at]! ^= 1 << (at % 8);
    assert.throws(() => convert(damaged, 'x.pagelab'), InputError, `byte ${at}`);
  }
  assert.throws(() => convert(Buffer.concat([binary, Buffer.from('x')]), 'x.pagelab'), /end mark/);
});
