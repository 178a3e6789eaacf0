import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressBatch, FETCH, InputError, utf8Bytes } from '../../src/base/index.ts';
import {
  type AddressSource,
  ChampsimSource,
  DrmemtraceSource,
  DrmemtraceViewSource,
  LackeySource,
  openTrace,
  TouchSource,
} from '../../src/trace/index.ts';

const OPTIONS = { name: 'a', hasFetches: true };

/** All entries of a source: pages, `f` for fetches, `+` for the further page of an access. */
function entriesOf(source: AddressSource): { entries: string[]; batch: AddressBatch } {
  const batch = new AddressBatch(4096);
  const entries: string[] = [];
  while (source.fill(batch)) {
    for (const entry of batch.entries.subarray(0, batch.count)) {
      const value = entry < 0 ? -1 - entry : entry;
      const page = value >= FETCH ? `f${(value - FETCH).toString(16)}` : value.toString(16);
      entries.push(entry < 0 ? `+${page}` : page);
    }
    batch.clear();
  }
  return { entries, batch };
}

/** Bytes in pieces of a length, so that lines and records are cut everywhere. */
function pieces(bytes: Uint8Array, length: number): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += length) all.push(bytes.subarray(at, at + length));
  return all;
}

const LACKEY = `==12== Lackey, an example Valgrind tool
==12==
I  04001000,3
 L 1fff000ffc,8
 S 1fff002000,4
 M 0421c7cc,4
I  ffffffffff600000,1
`;

test('lackey: letters, a modify twice, a straddling load, cut anywhere', () => {
  const bytes = utf8Bytes(LACKEY);
  for (const length of [1, 2, 7, 1000]) {
    const { entries, batch } = entriesOf(new LackeySource(pieces(bytes, length), OPTIONS));
    // Of the last address the lowest 57 bits count.
    const expected = ['f4001', '1fff000', '+1fff001', '1fff002', '421c', '421c', 'f1ffffffff600'];
    assert.deepEqual(entries, expected);
    assert.deepEqual([batch.accesses, batch.instructions], [6, 2]);
  }
  const data = entriesOf(new LackeySource([bytes], { ...OPTIONS, hasFetches: false }));
  assert.deepEqual(data.entries, ['1fff000', '+1fff001', '1fff002', '421c', '421c']);
  assert.equal(data.batch.instructions, 2);
  const windows = entriesOf(
    new LackeySource([utf8Bytes(LACKEY.replaceAll('\n', '\r\n'))], OPTIONS),
  );
  assert.equal(windows.batch.accesses, 6);
});

test('lackey: what is no line of it is refused with its number', () => {
  const bad = [
    'Hello',
    ' L 1fff000ffc',
    ' L ,4',
    ' L 1fff000ffc,0',
    ' L 1fff000ffc,99999999',
    ' L 1fff000ffc,4x',
    ' L 11112222333344445,4',
    ' X 1000,4',
    ' L  1000,4',
  ];
  for (const line of bad) {
    const source = new LackeySource([utf8Bytes(`I  1000,1\n${line}\n`)], OPTIONS);
    const isRight = (error: unknown): boolean =>
      error instanceof InputError && error.message.startsWith('a:2: ');
    assert.throws(() => entriesOf(source), isRight, line);
  }
});

/** One input_instr of ChampSim. */
function champsimRecord(ip: bigint, writes: bigint[], reads: bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setBigUint64(0, ip, true);
  writes.forEach((address, i) => {
    view.setBigUint64(16 + i * 8, address, true);
  });
  reads.forEach((address, i) => {
    view.setBigUint64(32 + i * 8, address, true);
  });
  return new Uint8Array(view.buffer);
}

test('ChampSim: an instruction, its reads, its writes', () => {
  const bytes = Buffer.concat([
    champsimRecord(0x401000n, [0x7fff0000_1008n], [0x602000n, 0x603ff8n]),
    champsimRecord(0x401004n, [], []),
  ]);
  for (const length of [10, 64, 1000]) {
    const { entries, batch } = entriesOf(new ChampsimSource(pieces(bytes, length), OPTIONS));
    assert.deepEqual(entries, ['f401', '602', '603', '7fff00001', 'f401']);
    assert.deepEqual([batch.accesses, batch.instructions], [5, 2]);
  }
  assert.throws(
    () => entriesOf(new ChampsimSource([bytes.subarray(0, 100)], OPTIONS)),
    (error) => error instanceof InputError && /byte 64: 36 bytes/.test(error.message),
  );
});

function drmemtraceRecord(type: number, size: number, value: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint16(0, type, true);
  view.setUint16(2, size, true);
  view.setBigUint64(4, value, true);
  return new Uint8Array(view.buffer);
}

test('drmemtrace, finished: reads, writes, instructions, bundles', () => {
  const records = [
    drmemtraceRecord(25, 0, 5n), // header
    drmemtraceRecord(28, 12, 5n), // marker: version
    drmemtraceRecord(47, 8, 0x1234n), // encoding
    drmemtraceRecord(10, 4, 0x400ffcn),
    drmemtraceRecord(0, 8, 0x7fff_0000_0ffcn),
    drmemtraceRecord(17, 2, 0x0302n), // two more instructions of 2 and 3 bytes
    drmemtraceRecord(1, 4, 0x602000n),
    drmemtraceRecord(49, 2, 0x401005n),
    drmemtraceRecord(2, 64, 0x9999000n), // prefetch
    drmemtraceRecord(29, 2, 0x401007n), // not fetched again
    drmemtraceRecord(26, 0, 0n), // footer
  ];
  const { entries, batch } = entriesOf(new DrmemtraceSource(records, OPTIONS));
  const expected = ['f400', '7fff00000', '+7fff00001', 'f401', 'f401', '602', 'f401'];
  assert.deepEqual(entries, expected);
  assert.deepEqual([batch.accesses, batch.instructions], [6, 5]);
  const wrong = [drmemtraceRecord(10, 4, 0x400000n)];
  assert.throws(() => entriesOf(new DrmemtraceSource(wrong, OPTIONS)), /byte 0: .*want a header/);
});

test("drmemtrace, the view tool's text", () => {
  const text = `Output format:
<--record#-> <--instr#->: <---tid---> <record details>
------------------------------------------------------------
           1           0:     3264197 <marker: version 4>
          12           1:     3264197 ifetch       3 byte(s) @ 0x00007f6fdd3ec270 48 89 e7             mov    %rsp, %rdi
          14           2:     3264197 write        8 byte(s) @ 0x00007ffe9f6b0ffc by PC 0x00007f6fdd3ec273
          15           3:     3264197 read         8 byte(s) @ 0x00007ffe9f6b1000 by PC 0x00007f6fdd3ec275
          16           3:     3264197 pref-r-L1    1 byte(s) @ 0x0000000000001000 by PC 0x00007f6fdd3ec275
View tool results:
              1 : total instructions
`;
  const { entries, batch } = entriesOf(new DrmemtraceViewSource([utf8Bytes(text)], OPTIONS));
  assert.deepEqual(entries, ['f7f6fdd3ec', '7ffe9f6b0', '+7ffe9f6b1', '7ffe9f6b1']);
  assert.equal(batch.instructions, 1);
});

test('touches of a recording: counts and strides, each process apart', () => {
  const text = `{"pagelab":1,"source":"a test"}
{"op":"touch","pid":1,"addr":"0x100000","write":true,"count":3,"stride":8192}
{"op":"touch","pid":2,"addr":"0x100000","write":false}
`;
  const { entries } = entriesOf(new TouchSource(openTrace('a.ndjson', [utf8Bytes(text)])));
  assert.deepEqual(entries, ['100', '102', '104', '800000100']);
});
