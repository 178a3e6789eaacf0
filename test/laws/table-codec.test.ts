import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeImage,
  ENCODED_MAX_BYTES,
  encodeImage,
} from '../../src/engine/tables/table-codec.ts';
import { TableImage } from '../../src/engine/tables/table-image.ts';

/** Entries come back bit for bit, whatever they are. */
const seed = Number(process.env['PAGELAB_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** A stretch of a table: a gap, then entries with one set of flags whose words go by a rule. */
const stretch = fc.record({
  gap: fc.nat(40),
  length: fc.integer({ min: 1, max: 200 }),
  flags: fc.integer({ min: 1, max: 255 }),
  first: fc.integer(),
  step: fc.oneof(fc.constantFrom(0, 1, -1, 512), fc.integer()),
  jumpEvery: fc.integer({ min: 1, max: 50 }),
});
type Stretch = typeof stretch extends fc.Arbitrary<infer S> ? S : never;

function imageOf(stretches: readonly Stretch[]): TableImage {
  const image = new TableImage();
  let index = 0;
  for (const { gap, length, flags, first, step, jumpEvery } of stretches) {
    index += gap;
    let word = first;
    for (let i = 0; i < length && index < 512; i++, index++) {
      image.add(index, flags, word);
      word = (word + (i % jumpEvery === 0 ? step : 1)) | 0;
    }
  }
  return image;
}

function assertSame(image: TableImage): number {
  const out = new Uint8Array(ENCODED_MAX_BYTES + 8);
  const bytes = encodeImage(image, out);
  assert.ok(bytes <= ENCODED_MAX_BYTES);
  const back = new TableImage();
  decodeImage(out, 0, image.count, back);
  assert.equal(back.count, image.count);
  for (const field of ['index', 'flags', 'word'] as const) {
    assert.deepEqual(back[field].slice(0, image.count), image[field].slice(0, image.count));
  }
  return bytes;
}

test('what is encoded is decoded', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 30 }), (stretches) => {
      assertSame(imageOf(stretches));
    }),
    { seed, numRuns: 2000 },
  );
});

test('any entries at all', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  const entry = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer());
  fc.assert(
    fc.property(fc.array(entry, { minLength: 512, maxLength: 512 }), (entries) => {
      const image = new TableImage();
      for (const [i, [flags, word]] of entries.entries())
        if (flags !== 0) image.add(i, flags, word);
      assertSame(image);
    }),
    { seed, numRuns: 200 },
  );
});

test('by hand: a full run of frames and a single entry are seven bytes each', () => {
  const run = new TableImage();
  for (let i = 0; i < 512; i++) run.add(i, 58, 100_000 + i);
  // Head with flags 1 + 1, (511 << 2 | 1) two bytes, zigzag of 100,000 three bytes.
  assert.equal(assertSame(run), 7);
  const one = new TableImage();
  one.add(300, 58, 1_000_000);
  // Gap 300 << 1 | 1 two bytes, flags, length 0, zigzag of 1,000,000 three bytes.
  assert.equal(assertSame(one), 7);
});

test('random frames of 24 GiB take less than half a frame', (t) => {
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  fc.assert(
    fc.property(
      fc.array(fc.nat(2 ** 21), { minLength: 512, maxLength: 512 }),
      fc.array(fc.nat(7), { minLength: 512, maxLength: 512 }),
      (bases, steps) => {
        const image = new TableImage();
        let frame = 0;
        for (let i = 0; i < 512; i++) {
          // Frames come in batches; one in eight begins somewhere else.
          frame = steps[i] === 0 ? (bases[i] as number) : frame + 1;
          image.add(i, 58, frame);
        }
        assert.ok(assertSame(image) <= 2048);
      },
    ),
    { seed, numRuns: 50 },
  );
});
