import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyEvent, formatEvent, importPerfScript } from '../../src/trace/index.ts';
import { NaiveMemory } from './naive-memory.ts';

function imported(lines: string[]): string[] {
  const reader = importPerfScript({ trace: lines, name: 'perf' });
  const memory = new NaiveMemory();
  const events: string[] = [];
  for (let event = reader.next(); event !== null; event = reader.next()) {
    assert.ok(memory.apply(event), formatEvent(event));
    events.push(formatEvent(copyEvent(event)));
  }
  return events;
}

const short = (lines: string[]): unknown[] =>
  lines.map((line) => {
    const { op, pid, addr, child, len, write } = JSON.parse(line);
    return [op, pid, addr ?? child, len ?? write];
  });

test('mappings are put under the faults; only a fetch of an instruction is a read', () => {
  const lines = imported([
    '    my prog 7 24536/24536   971.818859: page-faults:     5626297c2368 ffffffff8175336a ',
    '    my prog 7 24536/24540   971.818934: page-faults:     7fe17d9d4b70     7fe17d9d4b71',
    '    my prog 7 24536/24536   971.818938: page-faults:     5626297c4000     7fe17d9d57ad',
    '    my prog 7 24536/24536   971.818939: page-faults:u:   ffffffff81000000     7fe17d9d57ad',
  ]);
  assert.deepEqual(short(lines), [
    ['mmap', 24536, '0x5626297c2000', 0x3000],
    ['mmap', 24536, '0x7fe17d9d4000', 0x1000],
    ['touch', 24536, '0x5626297c2368', true],
    ['touch', 24536, '0x7fe17d9d4b70', false],
    ['touch', 24536, '0x5626297c4000', true],
  ]);
});

test('where perf recorded tasks and mappings, they are used', () => {
  const lines = imported([
    'sh 10/10 1.000000: PERF_RECORD_COMM exec: sh:10/10',
    'sh 10/10 1.000001: PERF_RECORD_MMAP2 10/10: [0x400000(0x2000) @ 0 fe:00 123 456]: r-xp /bin/sh',
    'sh 10/10 1.000002: page-faults: 400123 ffffffff81000000',
    'sh 10/10 1.000003: PERF_RECORD_FORK(10:11):(10:10)',
    'sh 10/10 1.000004: PERF_RECORD_FORK(12:12):(10:10)',
    'sh 12/12 1.000005: page-faults: 401123 400000',
    'sh 12/12 1.000006: PERF_RECORD_EXIT(12:12):(10:10)',
    'sh 10/11 1.000007: PERF_RECORD_EXIT(10:11):(10:10)',
    'sh 10/10 1.000008: PERF_RECORD_EXIT(10:10):(1:1)',
  ]);
  assert.deepEqual(short(lines), [
    ['exec', 10, undefined, undefined],
    ['mmap', 10, '0x400000', 0x2000],
    ['touch', 10, '0x400123', false],
    ['fork', 10, 12, undefined],
    ['touch', 12, '0x401123', false],
    ['exit', 12, undefined, undefined],
    ['exit', 10, undefined, undefined],
  ]);
});

test('what is no perf output is refused by line', () => {
  assert.throws(() => imported(['# header', 'hello']), {
    name: 'InputError',
    message: /^perf:2: /,
  });
});
