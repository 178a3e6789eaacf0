import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError, Random, utf8Bytes } from '../../src/base/index.ts';
import { validateMachine } from '../../src/engine/index.ts';
import { parseKernels, replay } from '../../src/lab/index.ts';
import { formatEvent, openTrace } from '../../src/trace/index.ts';
import { anyTraceText, seedOf } from '../trace/arbitrary-trace.ts';

/** Whatever a trace says, the engine runs it or the reader refuses it; its counts stay true. */

const KERNELS = parseKernels(['all']);
const MACHINE = { nodeBytes: [64 * 2 ** 20], swapBytes: 16 * 2 ** 20, bufferMiB: 128 };

function survives(name: string, bytes: Uint8Array, random: Random): boolean {
  const kernel = random.pick(KERNELS);
  try {
    replay(openTrace(name, [bytes]), kernel, {
      machine: MACHINE,
      onEnd: (system) => validateMachine(system.machine),
    });
    return true;
  } catch (error) {
    const text = error instanceof Error ? error.stack : String(error);
    assert.ok(error instanceof InputError, `${name} under ${kernel.name}: ${text}`);
    return false;
  }
}

test('traces of any valid events run to their end', (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  const texts = fc.sample(anyTraceText, { seed, numRuns: 400 });
  let done = 0;
  for (const [i, text] of texts.entries())
    if (survives(`any-${i}`, utf8Bytes(text), random)) done++;
  assert.ok(done > texts.length / 2, `${done} of ${texts.length} ran`);
});

test('a real recording with lines lost, doubled, moved and changed runs, or is refused', (t) => {
  const random = new Random(seedOf(t));
  const reader = openTrace('gcc', [readFileSync('recordings/gcc-compile.pagelab')]);
  // Without fork and exit no order of the events is refused: each process begins with its exec.
  const lines = [...eventLines(reader)].filter((line) => !/"op":"(?:fork|exit)"/.test(line));
  let done = 0;
  const rounds = 40;
  for (let round = 0; round < rounds; round++) {
    const damaged = lines.slice();
    for (let times = 0; times < 100; times++) {
      const at = 1 + random.below(damaged.length - 1);
      const line = damaged[at] as string;
      const kind = random.below(4);
      if (kind === 0) damaged.splice(at, 1);
      else if (kind === 1) damaged.splice(1 + random.below(damaged.length - 1), 0, line);
      else if (kind === 2) damaged.push(...damaged.splice(at, 1));
      else damaged[at] = changeNumber(damaged[at] as string, random);
    }
    if (survives(`gcc-${round}`, utf8Bytes(damaged.join('\n')), random)) done++;
  }
  assert.ok(done > rounds / 4, `${done} of ${rounds} ran`);
});

function* eventLines(reader: ReturnType<typeof openTrace>): Iterable<string> {
  yield JSON.stringify(reader.header);
  for (let event = reader.next(); event !== null; event = reader.next()) yield formatEvent(event);
}

/** Another length, a neighbouring page, a page count. */
function changeNumber(line: string, random: Random): string {
  const kind = random.below(3);
  if (kind === 0) return line.replace(/"len":\d+/, `"len":${random.below(64) * 4096}`);
  if (kind === 1)
    return line.replace(
      /"addr":"0x\w+"/,
      `"addr":"0x${(random.below(2 ** 20) * 4096).toString(16)}"`,
    );
  return line.replace(/("addr":"0x\w+)\w{4}"/, `$1${random.below(16).toString(16)}000"`);
}
