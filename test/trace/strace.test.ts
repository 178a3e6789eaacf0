import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyEvent, formatEvent, importStrace, LifeCheck } from '../../src/trace/index.ts';

function imported(text: string): string[] {
  const reader = importStrace({ trace: text.split('\n'), name: 'st' });
  const life = new LifeCheck();
  const lines: string[] = [];
  for (let event = reader.next(); event !== null; event = reader.next()) {
    assert.equal(life.check(event), null);
    lines.push(formatEvent(copyEvent(event)));
  }
  return lines;
}

const brief = (lines: string[]): unknown[] =>
  lines.map((line) => {
    const { op, pid, t, addr, child, vfork } = JSON.parse(line);
    return [op, pid, t, child ?? addr, ...(vfork ? ['vfork'] : [])];
  });

test('every style of time stamp and pid gives the same events', () => {
  const calls = [
    'brk(NULL)                               = 0x55d0e000',
    'munmap(0x7f0000000000, 4096)  = 0',
  ];
  const styles: [prefixes: [string, string], times: [number?, number?]][] = [
    [['', ''], []],
    [['24261 ', '24261 '], []],
    [['[pid 24261] ', '[pid 24261] '], []],
    [
      ['24261 10:00:01 ', '24261 10:00:03 '],
      [0, 2e9],
    ],
    [
      ['24261 23:59:59.500000 ', '24261 00:00:00.000000 '],
      [0, 5e8],
    ],
    [
      ['24261 1795247715.564037 ', '24261 1795247716.000001 '],
      [0, 435964000],
    ],
    [
      ['24261      0.000000 ', '24261      0.000250 '],
      [0, 250000],
    ],
    [
      ['     0.000000 ', '     0.000250 '],
      [0, 250000],
    ],
    [
      ['[pid 24261]      0.000000 ', '[pid 24261]      0.000250 '],
      [0, 250000],
    ],
  ];
  for (const [prefixes, times] of styles) {
    const pid = /24261/.test(prefixes[0]) ? 24261 : 1;
    const text = calls
      .map((call, i) => prefixes[i] + call + (i === 1 ? ' <0.000004>' : ''))
      .join('\n');
    assert.deepEqual(
      brief(imported(text)),
      [
        ['brk', pid, times[0], '0x55d0e000'],
        ['munmap', pid, times[1], '0x7f0000000000'],
      ],
      prefixes[0],
    );
  }
});

test('arguments, flags and results mean what the kernel was asked and said', () => {
  const lines = imported(
    [
      'execve("/usr/bin/prog", ["prog", "a) = 0"], 0x7ffd0 /* 20 vars */) = 0',
      'openat(AT_FDCWD, "/data/file", O_RDWR) = 4',
      'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_POPULATE, 4, 0x1000) = 0x7f0000002000',
      'mmap(NULL, 5000, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 3</lib/libc.so.6>, 0) = 0x7f0000010000',
      'mmap(NULL, 4194304, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = -1 ENOMEM (Cannot allocate memory)',
      'madvise(0x7f0000002000, 4096, MADV_DONTNEED) = 0',
      'madvise(0x7f0000002000, 4096, 0x66 /* MADV_??? */) = -1 EINVAL (Invalid argument)',
      'mremap(0x7f0000002000, 8192, 16384, MREMAP_MAYMOVE) = 0x7f0000020000',
      'mlock2(0x7f0000020000, 4096, MLOCK_ONFAULT) = -1 EWHATEVER (?)',
      'prctl(PR_SET_NAME, "worker") = 0',
      'prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) = 0',
      'prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) = -1 EINVAL (Invalid argument)',
      'prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) = 0',
      'fallocate(4, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 4096, 8192) = 0',
      'ftruncate(4, 100) = 0',
      'brk(NULL) = 0x60000000',
      'brk(0x60021000) = 0x60021000',
      'brk(0x70021000) = 0x60021000',
    ].join('\n'),
  );
  assert.deepEqual(lines, [
    '{"op":"exec","pid":1,"tid":1,"file":"/usr/bin/prog"}',
    '{"op":"mmap","pid":1,"tid":1,"addr":"0x7f0000002000","len":8192,"prot":"rw","flags":"shared,populate","file":"/data/file","off":4096,"ok":true}',
    '{"op":"mmap","pid":1,"tid":1,"addr":"0x7f0000010000","len":5000,"prot":"r","flags":"private,denywrite","file":"/lib/libc.so.6","ok":true}',
    '{"op":"mmap","pid":1,"tid":1,"addr":"0x0","len":4194304,"prot":"none","flags":"private,anon,hugetlb,0x54000000","ok":false,"errno":"ENOMEM"}',
    '{"op":"madvise","pid":1,"tid":1,"addr":"0x7f0000002000","len":4096,"advice":"dontneed","ok":true}',
    '{"op":"madvise","pid":1,"tid":1,"addr":"0x7f0000002000","len":4096,"advice":"guard_install","ok":false,"errno":"EINVAL"}',
    '{"op":"mremap","pid":1,"tid":1,"addr":"0x7f0000002000","len":8192,"newLen":16384,"newAddr":"0x7f0000020000","flags":"maymove","ok":true}',
    '{"op":"mlock","pid":1,"tid":1,"addr":"0x7f0000020000","len":4096,"flags":"onfault","ok":false}',
    '{"op":"prctl","pid":1,"tid":1,"thpDisable":true,"ok":true}',
    '{"op":"prctl","pid":1,"tid":1,"thpDisable":true,"exceptAdvised":true,"ok":false,"errno":"EINVAL"}',
    '{"op":"prctl","pid":1,"tid":1,"thpDisable":false,"ok":true}',
    '{"op":"punch","pid":1,"tid":1,"file":"/data/file","off":4096,"len":8192,"ok":true}',
    '{"op":"truncate","pid":1,"tid":1,"file":"/data/file","len":100,"ok":true}',
    '{"op":"brk","pid":1,"tid":1,"addr":"0x60000000","ok":true}',
    '{"op":"brk","pid":1,"tid":1,"addr":"0x60000000","len":135168,"ok":true}',
    '{"op":"brk","pid":1,"tid":1,"addr":"0x70021000","ok":false,"errno":"ENOMEM"}',
  ]);
});

test('threads, forks and ends, with lines cut in two and children that run first', () => {
  const lines = imported(
    [
      '10 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SETTLS, stack=0x7f01} => {parent_tid=[11]}, 88) = 11',
      'strace: Process 11 attached',
      '11 munmap(0x7f0000000000, 4096 <unfinished ...>',
      '10 munmap(0x7f0000001000, 4096)  = 0',
      '11 <... munmap resumed>) = 0',
      '10 vfork( <unfinished ...>',
      '12 munmap(0x7f0000002000, 4096)  = 0',
      '12 execve("/bin/true", ["true"], NULL) = 0',
      '10 <... vfork resumed>)           = 12',
      '10 --- SIGCHLD {si_signo=SIGCHLD} ---',
      '12 exit_group(0)                 = ?',
      '12 +++ exited with 0 +++',
      '10 exit_group(0)                 = ?',
      '11 +++ exited with 0 +++',
      '10 +++ exited with 0 +++',
    ].join('\n'),
  );
  assert.deepEqual(brief(lines), [
    ['munmap', 10, undefined, '0x7f0000001000'],
    ['munmap', 10, undefined, '0x7f0000000000'],
    ['fork', 10, undefined, 12, 'vfork'],
    ['munmap', 12, undefined, '0x7f0000002000'],
    ['exec', 12, undefined, undefined],
    ['exit', 12, undefined, undefined],
    ['exit', 10, undefined, undefined],
  ]);
});

test('what calls act on without having mapped it was there before', () => {
  const lines = imported('mprotect(0x555500003000, 4096, PROT_READ) = 0');
  assert.match(lines[0] as string, /"op":"mmap".*"addr":"0x555500003000".*"exec":"evidence"/);
  assert.equal(lines.length, 2);
});

test('what is no strace output is refused by line', () => {
  assert.throws(() => imported('10 brk(NULL) = 0x1000\nhello world'), {
    name: 'InputError',
    message: /^st:2: not a line of strace's; /,
  });
});
