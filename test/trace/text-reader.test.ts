import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8Bytes } from '../../src/base/index.ts';
import { copyEvent, formatEvent, openTrace, type TraceEvent } from '../../src/trace/index.ts';

const HEADER = '{"pagelab":1,"source":"test"}\n';

function read(body: string): TraceEvent[] {
  const reader = openTrace('t.ndjson', [utf8Bytes(HEADER + body)]);
  const events: TraceEvent[] = [];
  for (let event = reader.next(); event !== null; event = reader.next())
    events.push(copyEvent(event));
  return events;
}

const WRONG: readonly [line: string, message: RegExp][] = [
  ['nonsense', /^t\.ndjson:2: not a JSON object; /],
  ['[1]', /:2: not a JSON object; /],
  ['{"pid":1}', /:2: an event without "op"; give one of: mmap, /],
  ['{"op":"mmapp","pid":1}', /:2: unknown op "mmapp"; give one of: mmap, /],
  ['{"op":"exit"}', /:2: exit without "pid"; add it/],
  ['{"op":"exit","pid":"1"}', /:2: exit: "pid" is "1"; give an integer/],
  ['{"op":"exit","pid":0}', /:2: pid 0 is no process number; /],
  ['{"op":"exit","pid":5000000}', /:2: pid 5000000 is no process number; /],
  ['{"op":"munmap","pid":1,"addr":4096,"len":1}', /:2: munmap: "addr" is 4096; give a string "0x/],
  [
    '{"op":"munmap","pid":1,"addr":"4096","len":1}',
    /:2: munmap: "addr" is "4096"; give a string "0x/,
  ],
  ['{"op":"munmap","pid":1,"addr":"0x1000"}', /:2: munmap without "len"; add it/],
  ['{"op":"munmap","pid":1,"addr":"0x1000","len":-1}', /:2: munmap: "len" is -1; give an integer/],
  ['{"op":"munmap","pid":1,"addr":"0x1001","len":1}', /:2: addr 0x1001 is not page-aligned; /],
  [
    '{"op":"munmap","pid":1,"addr":"0x20000000000001","len":1}',
    /:2: addr 0x20000000000001 is not page-aligned; /,
  ],
  [
    '{"op":"munmap","pid":1,"addr":"0xffffffff81000000","len":1}',
    /:2: addr 0xffffffff81000000 is not a user-space address; /,
  ],
  [
    '{"op":"munmap","pid":1,"addr":"0xfffffffffff000","len":8192}',
    /:2: addr 0xfffffffffff000 and 8192 bytes reach beyond user space; /,
  ],
  [
    '{"op":"munmap","pid":1,"addr":"0x1000","len":1,"errno":"EINVAL"}',
    /:2: an errno without ok:false; /,
  ],
  [
    '{"op":"munmap","pid":1,"addr":"0x1000","len":1,"ok":1}',
    /:2: munmap: "ok" is 1; give true or false/,
  ],
  [
    '{"op":"munmap","pid":1,"addr":"0x1000","len":1,"ok":false,"errno":"inval"}',
    /:2: munmap: "errno" is "inval"; give a name/,
  ],
  [
    '{"op":"mmap","pid":1,"addr":"0x1000","len":1,"prot":"rq","flags":"private"}',
    /:2: mmap: "prot" is "rq"; give none/,
  ],
  [
    '{"op":"mmap","pid":1,"addr":"0x1000","len":1,"prot":"r","flags":"privat"}',
    /:2: mmap: "flags" is "privat"; give words out of: shared/,
  ],
  [
    '{"op":"mmap","pid":1,"addr":"0x1000","len":1,"prot":"r","flags":"private","file":"f","off":1}',
    /:2: off 1 is not page-aligned; /,
  ],
  [
    '{"op":"madvise","pid":1,"addr":"0x1000","len":1,"advice":"dontned"}',
    /:2: madvise: "advice" is "dontned"; give a word/,
  ],
  [
    '{"op":"touch","pid":1,"addr":"0x1000","write":1}',
    /:2: touch: "write" is 1; give true or false/,
  ],
  [
    '{"op":"touch","pid":1,"addr":"0x1000","write":true,"count":0}',
    /:2: count 0; give the number of touches/,
  ],
  [
    '{"op":"touch","pid":1,"addr":"0x8000000000000000","write":true}',
    /:2: addr 0x8000000000000000 is not a user-space/,
  ],
  ['{"op":"touch","pid":1,"addr":"0x1000","write":true', /:2: not a JSON object; /],
  ['{"op":"touch","pid":1,"addr":"0x1000","write":true}x', /:2: not a JSON object; /],
  ['{"op":"fork","pid":1,"child":1}', /:2: process 1 is alive already; /],
  ['{"op":"sample","pid":1,"vmPteKiB":1.5}', /:2: sample: "vmPteKiB" is 1.5; give an integer/],
  ['{"op":"exit","pid":1,"t":-5}', /:2: exit: "t" is -5; give nanoseconds/],
  [
    `{"op":"exit","pid":1,"x":${'['.repeat(100)}${']'.repeat(100)}}`,
    /:2: values nest deeper than 64; /,
  ],
];

test('a wrong line is refused with its number, what is wrong and what would be right', () => {
  for (const [line, message] of WRONG) {
    assert.throws(() => read(line + '\n'), { name: 'InputError', message }, line);
  }
});

test('what the kernel refused may have any address and length', () => {
  const lines = [
    '{"op":"munmap","pid":1,"addr":"0x1001","len":4096,"ok":false,"errno":"EINVAL"}',
    '{"op":"munmap","pid":1,"addr":"0xffffffff81000000","len":18446744073709547520,"ok":false,"errno":"EINVAL"}',
    '{"op":"touch","pid":1,"addr":"0xffff800000000000","write":true,"ok":false}',
  ];
  assert.deepEqual(read(lines.join('\n')).map(formatEvent), [
    lines[0],
    lines[1]?.replace(/\d{20}/, String(2 ** 64 - 4096)),
    lines[2],
  ]);
});

test('an address above 2^53 keeps its page and never moves up', () => {
  for (const [given, kept] of [
    ['0xfffffffffff000', '0xfffffffffff000'],
    ['0xffffffffffffff', '0xfffffffffff000'],
    ['0x20000000000fff', '0x20000000000000'],
    ['0x1fffffffffffff', '0x1fffffffffffff'],
  ]) {
    const [event] = read(`{"op":"touch","pid":1,"addr":"${given}","write":true,"x":1}\n`);
    assert.equal('0x' + event?.addr.toString(16), kept);
  }
});

test('the fast scanner and JSON read the same touch', () => {
  const fields = [
    '"pid":7',
    '"addr":"0x7fAb00000010"',
    '"write":true',
    '"ok":false',
    '"t":123456789012345',
    '"tid":9',
    '"count":3',
    '"stride":8192',
  ];
  for (let shift = 0; shift < fields.length; shift++) {
    const order = [...fields.slice(shift), ...fields.slice(0, shift)];
    const [fast] = read(`{"op":"touch",${order.join(',')}}\n`);
    const [slow] = read(`{ "op":"touch",${order.join(', ')}}\n`);
    assert.deepEqual(fast, slow);
    assert.equal(fast?.addr, 0x7fab00000010);
    assert.equal(fast?.count, 3);
  }
});

test('unknown keys are kept, also an errno without a number here', () => {
  const line =
    '{"op":"madvise","pid":1,"addr":"0x1000","len":1,"advice":"free","ok":false,"errno":"ENOTTY","why":{"a":[1]},"__proto__":2}';
  assert.equal(formatEvent(read(line)[0] as TraceEvent), line);
});

test('blank lines and line ends of other systems do not matter, but count', () => {
  const events = read('\r\n{"op":"exec","pid":1}\r\n\n{"op":"exit","pid":1}');
  assert.deepEqual(
    events.map((event) => event.line),
    [3, 5],
  );
});

test('a file that is no trace, or of another version, is named as such', () => {
  const open = (text: string) => () => openTrace('t', [utf8Bytes(text)]);
  assert.throws(open(''), { message: /^t:1: not a trace: the file is empty; / });
  assert.throws(open('hello\n'), { message: /^t:1: not a trace; the first line must be / });
  assert.throws(open('{"pagelab":2}\n'), {
    message: 't:1: trace version 2; this pagelab reads version 1',
  });
  assert.throws(open('\u001f'), {
    message: /not a trace/,
  });
  assert.throws(() => openTrace('t.gz', [Uint8Array.of(0x1f, 0x8b, 8, 0)]), {
    message: /^t\.gz: byte 0: compressed by gzip; /,
  });
  assert.throws(() => openTrace('t', [Uint8Array.of(0x50, 0x47, 0x4c, 0x42, 9)]), {
    message: /^t: byte 4: binary trace version 9; this pagelab reads version 1/,
  });
});

test('a line without end costs a bounded amount of memory', () => {
  let given = 0;
  function* garbage(): Iterable<Uint8Array> {
    const chunk = new Uint8Array(65536).fill(0x61);
    for (; given < 10e9; given += chunk.length) yield chunk;
  }
  assert.throws(() => openTrace('big', garbage()), {
    message: /^big:1: a line longer than 1048576 bytes; /,
  });
  assert.ok(given < 2e6, `stopped after ${given} bytes`);
});

test('a process has no event after its exit until a fork makes it anew', () => {
  const life = (...bodies: string[]) => read(bodies.map((body) => `{${body}}\n`).join(''));
  assert.throws(
    () => life('"op":"exit","pid":1', '"op":"touch","pid":1,"addr":"0x0","write":true'),
    {
      message: 't.ndjson:3: process 1 exited at line 2; only a fork can start it again',
    },
  );
  assert.throws(() => life('"op":"exec","pid":2', '"op":"fork","pid":1,"child":2'), {
    message: /:3: process 2 is alive already; /,
  });
  assert.throws(
    () => life('"op":"fork","pid":1,"child":2', '"op":"exit","pid":2', '"op":"exit","pid":2'),
    {
      message: /:4: process 2 exited at line 3/,
    },
  );
  assert.equal(
    life(
      '"op":"fork","pid":1,"child":2',
      '"op":"exit","pid":2',
      '"op":"mark","name":"m"',
      '"op":"fork","pid":1,"child":2',
      '"op":"exec","pid":2',
    ).length,
    5,
  );
});
