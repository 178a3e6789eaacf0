import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, Random, utf8Bytes } from '../../src/base/index.ts';
import { crc32c } from '../../src/trace/binary/crc32c.ts';
import { copyTrace, openTrace, writerFor } from '../../src/trace/index.ts';
import { anyTraceText, seedOf } from './arbitrary-trace.ts';

const ROUNDS = 3000;

/** Words that damage a text line in interesting places. */
const SNIPPETS = [
  '"op":"touch"',
  '"pid":-1',
  '"pid":1e99',
  '"addr":"0x"',
  '"addr":"0xffffffffffffffffff"',
  '"addr":7',
  '"len":18446744073709551616',
  '"ok":false',
  '"ok":null',
  '"t":-1',
  '"__proto__":{}',
  '"errno":"EXX"',
  '[[[[[[[[',
  '\u0000',
  '\r',
  '\n',
  '{',
  '}',
  ',',
  '"',
  '\\u00',
  '"count":0',
  '"stride":0',
  '"child":1',
].map(utf8Bytes);

test('a damaged trace is read or refused with one line, quickly, and nothing else happens', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  const originals = fc.sample(anyTraceText, { seed, numRuns: 20 }).flatMap((text) => {
    const bytes = utf8Bytes(text);
    return [bytes, converted(bytes, 'x.pagelab')];
  });
  originals.push(readFileSync('recordings/gcc-compile.pagelab').subarray(0, 4000));
  let refused = 0;
  const start = performance.now();
  for (let round = 0; round < ROUNDS; round++) {
    const original = random.pick(originals);
    const damaged = damage(original, random);
    if (original[0] === 0x50 && random.chance(0.7)) seal(damaged);
    if (!isReadable(damaged, random, `round ${round}`)) refused++;
  }
  const perFileMs = (performance.now() - start) / ROUNDS;
  t.diagnostic(`${refused} of ${ROUNDS} refused, ${perFileMs.toFixed(3)} ms each`);
  assert.ok(refused > ROUNDS / 4, 'the damage is worth testing');
  assert.ok(perFileMs < 50);
});

test('random bytes behind a good beginning are read or refused', (t) => {
  const random = new Random(seedOf(t));
  const beginnings = ['PGLB', 'PGLB\u0001', '{"pagelab":1}\n', ''].map(utf8Bytes);
  for (let round = 0; round < 500; round++) {
    const noise = Uint8Array.from({ length: random.below(300) }, () => random.below(256));
    isReadable(Buffer.concat([random.pick(beginnings), noise]), random, `round ${round}`);
  }
});

function isReadable(bytes: Uint8Array, random: Random, what: string): boolean {
  try {
    const reader = openTrace('damaged', slices(bytes, 1 + random.below(5000)));
    for (let event = reader.next(); event !== null; event = reader.next()) {
      assert.ok(event.line > 0);
    }
    return true;
  } catch (error) {
    assert.ok(
      error instanceof InputError,
      `${what}: ${error instanceof Error ? error.stack : error}`,
    );
    assert.match(error.message, /^damaged(?::\d+:|: byte \d+:) [^\n]+$/, what);
    return false;
  }
}

function damage(original: Uint8Array, random: Random): Uint8Array {
  let bytes = Uint8Array.from(original);
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(bytes.length + 1);
    const kind = random.below(5);
    if (kind === 0) bytes = bytes.slice(0, at);
    else if (kind === 1 && at < bytes.length) bytes[at] = random.below(256);
    else if (kind === 2) bytes = splice(bytes, at, random.below(20), new Uint8Array(0));
    else if (kind === 3) bytes = splice(bytes, at, random.below(10), random.pick(SNIPPETS));
    else bytes = splice(bytes, at, 0, bytes.slice(random.below(bytes.length + 1), bytes.length));
  }
  return bytes;
}

/** Makes a binary trace's checksums right again, so that the damage reaches the decoder. */
function seal(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  if (bytes.length < 16) return;
  let at = 12 + view.getUint32(8, true);
  if (at + 4 > bytes.length) return;
  view.setUint32(at, crc32c(bytes, 0, at), true);
  at += 4;
  while (at + 13 <= bytes.length) {
    const length = bytes[at] === 0x42 ? view.getUint32(at + 1, true) : 0;
    const end = Math.min(at + 13 + length, bytes.length);
    view.setUint32(at + 9, crc32c(bytes, at + 13, end, crc32c(bytes, at, at + 9)), true);
    at = end;
  }
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array) {
  return Uint8Array.from(
    Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]),
  );
}

function converted(bytes: Uint8Array, to: string): Uint8Array {
  const out: Uint8Array[] = [];
  const reader = openTrace('original', [bytes]);
  copyTrace(
    reader,
    writerFor(to, (chunk) => out.push(chunk), reader.header),
  );
  return Buffer.concat(out);
}

function* slices(bytes: Uint8Array, size: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
