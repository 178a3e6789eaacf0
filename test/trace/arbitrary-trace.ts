import type { TestContext } from 'node:test';
import fc from 'fast-check';

/** The seed of this run, printed; PAGELAB_SEED repeats one. */
export function seedOf(t: TestContext): number {
  const seed = Number(process.env['PAGELAB_SEED'] ?? Date.now() ^ process.pid) | 0;
  t.diagnostic(`PAGELAB_SEED=${seed}`);
  return seed;
}

const page = fc.integer({ min: 0, max: 2 ** 35 - 1 }).map((n) => n * 4096);
const hex = (address: number): string => '0x' + address.toString(16);
const pageAddress = page.map(hex);
const anyAddress = fc.tuple(page, fc.nat(4095)).map(([p, off]) => hex(p + off));
const wildAddress = fc.oneof(
  anyAddress,
  fc.constantFrom(
    '0xffffffffff600000',
    '0xffff800000001000',
    '0x1fffffffffffff',
    '0x20000000001000',
  ),
);
const length = fc.nat(2 ** 30);
const wildLength = fc.oneof(length, fc.constantFrom(2 ** 52, 2 ** 63, 2 ** 64, 4097));
const name = fc.oneof(fc.constantFrom('libc.so.6', 'memfd:a', 'ü "quoted"\\'), fc.string());
const prot = fc.constantFrom('none', 'r', 'rw', 'rx', 'rwx', 'w', 'x', 'wx', 'rw,0x1000000');
const mapFlags = fc
  .subarray([
    'shared',
    'private',
    'fixed',
    'anon',
    'noreserve',
    'populate',
    'hugetlb',
    '0x80000000',
  ])
  .map((words) => words.join(','));
const advice = fc.constantFrom<string | number>('dontneed', 'free', 'collapse', 77, 999);
const extra = fc.dictionary(
  fc.string({ minLength: 1 }).map((key) => `x-${key}`),
  fc.oneof(fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)))),
  { maxKeys: 2 },
);
const counter = fc.nat(2 ** 31 - 1);

const own = fc.oneof(
  { weight: 6, arbitrary: touch(anyAddress) },
  fc.record(
    {
      op: fc.constant('mmap'),
      addr: pageAddress,
      len: length,
      prot,
      flags: mapFlags,
      file: name,
      off: page,
    },
    { requiredKeys: ['op', 'addr', 'len', 'prot', 'flags'] },
  ),
  fc.record({ op: fc.constantFrom('munmap', 'munlock'), addr: pageAddress, len: length }),
  fc.record({ op: fc.constant('mprotect'), addr: pageAddress, len: length, prot }),
  fc.record({ op: fc.constant('request'), name, work: fc.nat(2 ** 31 - 1) }),
  fc.record({ op: fc.constant('madvise'), addr: pageAddress, len: length, advice }),
  fc.record(
    {
      op: fc.constant('mremap'),
      addr: pageAddress,
      len: length,
      newLen: length,
      newAddr: pageAddress.filter((a) => a !== '0x0'),
      flags: fc.constantFrom('', 'maymove', 'maymove,fixed', 'maymove,dontunmap'),
    },
    { requiredKeys: ['op', 'addr', 'len', 'newLen'] },
  ),
  fc.record(
    { op: fc.constant('brk'), addr: anyAddress, len: length },
    { requiredKeys: ['op', 'addr'] },
  ),
  fc.record(
    {
      op: fc.constant('mlock'),
      addr: anyAddress,
      len: length,
      flags: fc.constantFrom('', 'onfault'),
    },
    { requiredKeys: ['op', 'addr', 'len'] },
  ),
  fc.record({
    op: fc.constant('mlockall'),
    flags: fc.constantFrom('', 'current', 'current,future,onfault'),
  }),
  fc.record({ op: fc.constantFrom('munlockall', 'exec') }),
  fc.record(
    { op: fc.constant('prctl'), thpDisable: fc.boolean(), exceptAdvised: fc.constant(true) },
    { requiredKeys: ['op', 'thpDisable'] },
  ),
  fc.record({ op: fc.constant('truncate'), file: name, len: length }),
  fc.record({ op: fc.constant('punch'), file: name, off: page, len: length }),
  fc.record(
    {
      op: fc.constant('sample'),
      vmPteKiB: counter,
      presentPages: counter,
      rssAnonKiB: counter,
      vmSwapKiB: counter,
    },
    { requiredKeys: ['op'] },
  ),
  fc.record({ op: fc.constant('mark'), name }),
);

const refused = fc.oneof(
  touch(wildAddress),
  fc.record({ op: fc.constant('munmap'), addr: wildAddress, len: wildLength }),
  fc.record({ op: fc.constant('madvise'), addr: wildAddress, len: wildLength, advice }),
);

function touch(address: fc.Arbitrary<string>) {
  return fc.oneof({ weight: 5, arbitrary: plainTouch(address) }, filled(address));
}

/** A write that says what it writes. */
function filled(address: fc.Arbitrary<string>) {
  return fc.record(
    {
      op: fc.constant('touch'),
      addr: address,
      write: fc.constant(true),
      content: fc.oneof(fc.nat(3), fc.nat(2 ** 31 - 1)),
      count: fc.integer({ min: 1, max: 9 }),
    },
    { requiredKeys: ['op', 'addr', 'write', 'content'] },
  );
}

function plainTouch(address: fc.Arbitrary<string>) {
  return fc.record(
    {
      op: fc.constant('touch'),
      addr: address,
      write: fc.boolean(),
      count: fc.integer({ min: 1, max: 9 }),
      stride: fc.constantFrom(4096, 8192, 1),
    },
    { requiredKeys: ['op', 'addr'] },
  );
}

const common = fc.record(
  { tid: fc.integer({ min: 1, max: 4194304 }), t: fc.nat(2 ** 40) },
  { requiredKeys: [] },
);

const event = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(
      own,
      common,
      fc.record({ ok: fc.constant(true) }, { requiredKeys: [] }),
      extra,
    ),
  },
  fc.tuple(
    refused,
    common,
    fc.record(
      { ok: fc.constant(false), errno: fc.constantFrom('EINVAL', 'ENOMEM', 'E#999', 'ENOTTY') },
      { requiredKeys: ['ok'] },
    ),
    extra,
  ),
);

/** `live` may fork, exit and exec as long as the lives of its processes allow it. */
const step = fc.tuple(fc.nat(9), fc.nat(99), event);

/** A trace in text form that is right, with unknown keys and all ops. */
export const anyTraceText: fc.Arbitrary<string> = fc
  .tuple(fc.array(step, { maxLength: 60 }), extra)
  .map(([steps, headerExtra]) => {
    const lines: object[] = [{ pagelab: 1, source: 'test', ...headerExtra }];
    const alive = [1, 2, 3];
    let nextPid = 10;
    for (const [choice, which, [fields, shared, answer, more]] of steps) {
      const pid = alive[which % alive.length] as number;
      if (choice === 0) {
        lines.push({
          op: 'fork',
          pid,
          child: nextPid,
          ...(which % 2 === 0 ? { vfork: true } : {}),
        });
        alive.push(nextPid++);
      } else if (choice === 1 && alive.length > 1) {
        lines.push({ op: 'exit', pid, ...more });
        alive.splice(which % alive.length, 1);
      } else lines.push({ ...fields, pid, ...shared, ...answer, ...more });
    }
    return lines.map((line) => JSON.stringify(line) + '\n').join('');
  });
