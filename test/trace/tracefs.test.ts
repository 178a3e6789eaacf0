import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import {
  copyEvent,
  copyTrace,
  formatEvent,
  importTracefs,
  type TraceEvent,
  type TraceReader,
  writerFor,
} from '../../src/trace/index.ts';

function events(reader: TraceReader): TraceEvent[] {
  const all: TraceEvent[] = [];
  for (let event = reader.next(); event !== null; event = reader.next()) all.push(copyEvent(event));
  return all;
}

/** `tid seconds body` lines as trace_pipe prints them. */
function pipe(...lines: [tid: number, seconds: number, body: string][]): string[] {
  return lines.map(
    ([tid, seconds, body]) => `     my prog-1-${tid}  [001] d.... ${seconds.toFixed(6)}: ${body}`,
  );
}

function imported(...lines: [number, number, string][]): { reader: TraceReader; lines: string[] } {
  const reader = importTracefs({ trace: pipe(...lines), name: 'rec' });
  return { reader, lines: events(reader).map(formatEvent) };
}

const mmap = '(addr: 0, len: 0x3000, prot: 3, flags: 0x22, fd: 0xffffffff, off: 0)';

test('the gcc sample gives the bundled recording again, byte for byte', () => {
  const unpack = (name: string) =>
    gunzipSync(readFileSync(`test/trace/fixtures/${name}`)).toString();
  const reader = importTracefs({
    trace: unpack('gcc-compile.trace.gz').trimEnd().split('\n'),
    maps: unpack('gcc-compile.maps.gz'),
    status: readFileSync('test/trace/fixtures/gcc-compile.status.txt', 'utf8'),
    name: 'gcc-compile',
  });
  const out: Uint8Array[] = [];
  copyTrace(
    reader,
    writerFor('x.pagelab', (bytes) => out.push(bytes), reader.header),
  );
  assert.ok(Buffer.concat(out).equals(readFileSync('recordings/gcc-compile.pagelab')));
});

test('calls and results are paired per thread, with errors as the kernel gave them', () => {
  const { lines } = imported(
    [5, 1, `sys_mmap${mmap}`],
    [6, 1.1, `sys_mmap${mmap}`],
    [5, 1.2, 'sys_mmap -> 0x7f0000001000'],
    [6, 1.3, 'sys_mmap -> 0xfffffffffffffff4'],
    [5, 1.4, 'page_fault_user: address=0x7f0000002123 ip=0x401000 error_code=0x6'],
    [5, 1.5, 'sys_munmap(addr: 0x7f0000001001, len: 0x1000)'],
    [5, 1.6, 'sys_munmap -> 0xffffffffffffffea'],
  );
  assert.deepEqual(lines, [
    '{"op":"mmap","pid":5,"tid":5,"t":1200000000,"addr":"0x7f0000001000","len":12288,"prot":"rw","flags":"private,anon","ok":true}',
    '{"op":"mmap","pid":6,"tid":6,"t":1300000000,"addr":"0x0","len":12288,"prot":"rw","flags":"private,anon","ok":false,"errno":"ENOMEM"}',
    '{"op":"touch","pid":5,"tid":5,"t":1400000000,"addr":"0x7f0000002123","write":true,"ok":true}',
    '{"op":"munmap","pid":5,"tid":5,"t":1600000000,"addr":"0x7f0000001001","len":4096,"ok":false,"errno":"EINVAL"}',
  ]);
});

test('clone flags tell threads from processes; clone3 is judged by what became of the child', () => {
  const fork = (child: number) =>
    `sched_process_fork: comm=a pid=5 child_comm=a child_pid=${child}`;
  const touch = 'page_fault_user: address=0x7f0000002123 ip=0x401000 error_code=0x6';
  const { lines } = imported(
    [5, 1, `sys_mmap${mmap}`],
    [5, 1.1, 'sys_mmap -> 0x7f0000001000'],
    [5, 2, 'sys_clone(clone_flags: 0x3d0f00, newsp: 0, parent_tidptr: 0, child_tidptr: 0, tls: 0)'],
    [5, 2.1, fork(6)],
    [5, 2.2, 'sys_clone -> 0x6'],
    [6, 2.3, 'sys_clone -> 0x0'],
    [6, 2.4, touch],
    [
      5,
      3,
      'sys_clone(clone_flags: 0x1200011, newsp: 0, parent_tidptr: 0, child_tidptr: 0, tls: 0)',
    ],
    [5, 3.1, fork(7)],
    [5, 3.2, 'sys_clone -> 0x7'],
    [7, 3.4, touch],
    [5, 4, 'sys_clone3(uargs: 0x7ffe00000000, size: 0x58)'],
    [5, 4.1, fork(8)],
    [8, 4.2, 'sched_process_exec: filename=/bin/true pid=8 old_pid=8'],
    [5, 4.3, 'sys_clone3 -> 0x8'],
    [5, 5, 'sys_clone3(uargs: 0x7ffe00000000, size: 0x58)'],
    [5, 5.1, fork(9)],
    [5, 5.2, 'sys_clone3 -> 0x9'],
    [9, 5.3, touch],
    [9, 6, 'sched_process_exit: comm=a pid=9 prio=120 group_dead=false'],
    [5, 6.1, 'sched_process_exit: comm=a pid=5 prio=120 group_dead=true'],
  );
  const of = (op: string) => lines.filter((line) => line.startsWith(`{"op":"${op}"`));
  assert.deepEqual(of('fork'), [
    '{"op":"fork","pid":5,"tid":5,"t":3100000000,"child":7}',
    '{"op":"fork","pid":5,"tid":5,"t":4100000000,"child":8,"vfork":true}',
  ]);
  assert.deepEqual(of('exit'), ['{"op":"exit","pid":5,"tid":5,"t":6100000000}']);
  assert.deepEqual(
    of('touch').map((line) => line.slice(0, 35)),
    [
      '{"op":"touch","pid":5,"tid":6,"t":2',
      '{"op":"touch","pid":7,"tid":7,"t":3',
      '{"op":"touch","pid":5,"tid":9,"t":5',
    ],
  );
});

test('faults that set up a new image come after its exec, and its layout before them', () => {
  const { lines, reader } = imported(
    [5, 1, 'page_fault_user: address=0x555500001000 ip=0x401000 error_code=0x6'],
    [5, 2, 'page_fault_kernel: address=0x404010 ip=elf_load error_code=0x2'],
    [5, 2.1, 'page_fault_kernel: address=0x7ffe00003f00 ip=_copy_to_user error_code=0x2'],
    [5, 2.2, 'sched_process_exec: filename=/bin/prog pid=5 old_pid=5'],
    [5, 2.3, 'page_fault_user: address=0x401000 ip=0x401000 error_code=0x14'],
    [5, 2.4, 'page_fault_user: address=0x405000 ip=0x401004 error_code=0x6'],
  );
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)).map((e) => [e.op, e.addr, e.len ?? e.write, e.file]),
    [
      ['mmap', '0x555500001000', 4096, undefined],
      ['touch', '0x555500001000', true, undefined],
      ['exec', undefined, undefined, '/bin/prog'],
      ['mmap', '0x401000', 0x1000, 'prog'],
      ['mmap', '0x402000', 0x2000, 'prog'],
      ['mmap', '0x404000', 0x1000, 'prog'],
      ['mmap', '0x405000', 0x1000, undefined],
      ['mmap', '0x7ffdfffe4000', 0x21000, undefined],
      ['touch', '0x7ffe00004000', true, undefined],
      ['touch', '0x404010', true, undefined],
      ['touch', '0x7ffe00003f00', true, undefined],
      ['touch', '0x401000', false, undefined],
      ['touch', '0x405000', true, undefined],
    ],
  );
  assert.equal((reader.header['layouts'] as unknown[]).length, 2);
});

test('copies with page faults off do not count, and what is dropped is said', () => {
  const { lines, reader } = imported(
    [5, 1, 'page_fault_kernel: address=0x401000 ip=copy_folio_from_iter_atomic error_code=0x0'],
    [5, 1.1, 'page_fault_kernel: address=0x401000 ip=fault_in_readable error_code=0x0'],
    [5, 1.2, 'sys_process_madvise(pidfd: 3, vec: 0x7ffe00000000, vlen: 1, behavior: 4, flags: 0)'],
    [5, 1.3, 'sys_process_madvise -> 0x1000'],
    [5, 1.4, 'sched_wakeup: comm=a pid=9 prio=120 target_cpu=001'],
    [5, 1.5, 'sys_mmap' + mmap],
  );
  assert.equal(lines.length, 2);
  assert.deepEqual(reader.header['notes'], [
    '1 events that a trace has no place for',
    '1 faults dropped: copy_folio_from_iter_atomic runs with page faults off; its fallback faults again',
    '1 calls dropped: process_madvise does not show what it acts on',
    '1 calls dropped: no result',
  ]);
});

test('files get the names of the snapshot; equal libraries in other processes too', () => {
  const library = (tid: number, at: number, base: string, code: string) =>
    [
      [tid, at, 'sys_mmap(addr: 0, len: 0x5000, prot: 1, flags: 0x802, fd: 3, off: 0)'],
      [tid, at + 0.01, `sys_mmap -> 0x${base}`],
      [
        tid,
        at + 0.02,
        `sys_mmap(addr: 0x${code}, len: 0x2000, prot: 5, flags: 0x812, fd: 3, off: 0x1000)`,
      ],
      [tid, at + 0.03, `sys_mmap -> 0x${code}`],
      [
        tid,
        at + 0.04,
        `sys_mmap(addr: 0x${code.slice(0, -4)}3000, len: 0x2000, prot: 3, flags: 0x812, fd: 3, off: 0x3000)`,
      ],
      [tid, at + 0.05, `sys_mmap -> 0x${code.slice(0, -4)}3000`],
    ] as [number, number, string][];
  const trace = pipe(
    [5, 1, 'sched_process_exec: filename=prog pid=5 old_pid=5'],
    [5, 1.001, 'page_fault_user: address=0x401000 ip=0x401000 error_code=0x14'],
    ...library(5, 1.01, '7f0000000000', '7f0000001000'),
    ...library(9, 2, '7f1100000000', '7f1100001000'),
    [9, 3, 'sys_mmap(addr: 0, len: 0x1000, prot: 1, flags: 2, fd: 3, off: 0)'],
    [9, 3.1, 'sys_mmap -> 0x7f2200000000'],
  );
  const maps = [
    '00401000-00402000 r-xp 00001000 fe:00 7                    /bin/prog',
    '7f0000000000-7f0000001000 r--p 00000000 fe:00 8            /lib/libx.so',
    '7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0            [stack]',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]',
  ].join('\n');
  const files = events(importTracefs({ trace, maps, name: 'rec' }))
    .filter((event) => event.extra === null && event.flags !== 0)
    .map((event) => event.file);
  assert.deepEqual(files, [...Array(6).fill('/lib/libx.so'), 'fd:3@3']);
});

test('a process that ran already has the layout of the snapshot, its heap and its threads', () => {
  const at = (tid: number, seconds: number, body: string) =>
    `  worker-${tid}     (     40) [000] d.... ${seconds.toFixed(6)}: ${body}`;
  const maps = [
    '00401000-00402000 r-xp 00001000 fe:00 7                    /bin/prog',
    '01000000-01021000 rw-p 00000000 00:00 0                    [heap]',
    '7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ',
    '7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0            [stack]',
  ].join('\n');
  const trace = [
    at(41, 1, 'page_fault_user: address=0x7f0000002123 ip=0x401000 error_code=0x6'),
    at(40, 2, 'page_fault_user: address=0x1000123 ip=0x401000 error_code=0x6'),
    at(40, 3, 'sys_brk(brk: 0x1042000)'),
    at(40, 4, 'sys_brk -> 0x1042000'),
    at(41, 5, 'sched_process_exit: comm=worker pid=41 prio=120 group_dead=false'),
  ];
  const lines = events(importTracefs({ trace, maps, name: 'rec' })).map((event) =>
    [event.op, event.pid, event.tid, event.addr, event.len, event.outcome].join(' '),
  );
  assert.deepEqual(lines, [
    `1 40 0 ${0x401000} ${0x1000} 1`,
    `6 40 0 ${0x1000000} ${0x21000} 1`,
    `1 40 0 ${0x7f0000000000} ${0x100000} 1`,
    `1 40 0 ${0x7ffe00000000} ${0x21000} 1`,
    `11 40 41 ${0x7f0000002123} 0 1`,
    `11 40 40 ${0x1000123} 0 1`,
    `6 40 40 ${0x1000000} ${0x42000} 1`,
  ]);
});

test('what is no such recording is refused by line', () => {
  assert.throws(() => importTracefs({ trace: ['# tracer: nop', 'hello'], name: 'rec' }), {
    name: 'InputError',
    message: /^rec:2: not a line of tracefs' trace_pipe; /,
  });
  assert.throws(() => importTracefs({ trace: [], maps: 'x\n', name: 'rec' }), {
    message: /^rec\.maps:1: /,
  });
  assert.throws(() => importTracefs({ trace: [], status: '1 x\n', name: 'rec' }), {
    message: /^rec\.status:1: /,
  });
});
