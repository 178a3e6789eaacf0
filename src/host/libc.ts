import { createRequire } from 'node:module';
import { CapabilityError } from '../base/index.ts';

/**
 * The C library's functions that Node does not offer, by koffi. Loaded at the first use, so that
 * everything that needs no live kernel works without koffi.
 *
 * Buffers are passed by address and must stay referenced during the call. Addresses are plain
 * numbers (47 bits are exact); whole registers never become numbers, see ptrace.ts.
 */
export interface Libc {
  /** ptrace with an integer as data; -1 on failure, then `errno()`. */
  ptraceValue(request: number, pid: number, addr: number, data: number): number;
  /** ptrace with a buffer as data. */
  ptraceBuffer(request: number, pid: number, addr: number, data: Uint8Array): number;
  waitpid(pid: number, status: Int32Array, options: number): number;
  personality(persona: number): number;
  posixSpawn(pid: Int32Array, path: string, argv: string[], envp: string[]): number;
  memfdCreate(name: string, flags: number): number;
  ioctl(fd: number, request: number, data: Uint8Array): number;
  prctl(option: number, value: number): number;
  /** Affinity of the calling thread (pid 0) as a bit mask. */
  schedGetaffinity(pid: number, bytes: number, mask: Uint8Array): number;
  schedSetaffinity(pid: number, bytes: number, mask: Uint8Array): number;
  schedGetcpu(): number;
  /** The numeric address of a buffer's first byte. */
  addressOf(buffer: Uint8Array): number;
  /** The error number of the last failed call. */
  errno(): number;
}

let loaded: Libc | null = null;

/** The C library; CapabilityError where koffi or Linux on x86-64 is missing. */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

type Koffi = typeof import('koffi');

function load(): Libc {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new CapabilityError(
      `this needs Linux on x86-64; here: ${process.platform} on ${process.arch}`,
    );
  }
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi;
  } catch {
    throw new CapabilityError(
      'the optional package koffi is not installed; install it with: npm install koffi@3.3.4',
    );
  }
  return declare(koffi);
}

function declare(koffi: Koffi): Libc {
  const lib = koffi.load('libc.so.6');
  const posixSpawn = lib.func(
    'int posix_spawn(_Out_ int *pid, str path, void *actions, void *attr, str *argv, str *envp)',
  );
  return {
    ptraceValue: lib.func('ptrace', 'long', ['int', 'int', 'uintptr_t', 'uintptr_t']),
    ptraceBuffer: lib.func('ptrace', 'long', ['int', 'int', 'uintptr_t', 'void *']),
    waitpid: lib.func('waitpid', 'int', ['int', 'void *', 'int']),
    personality: lib.func('personality', 'int', ['ulong']),
    posixSpawn(pid, path, argv, envp) {
      const out = [0];
      const error = posixSpawn(out, path, null, null, [...argv, null], [...envp, null]) as number;
      pid[0] = out[0]!;
      return error;
    },
    memfdCreate: lib.func('memfd_create', 'int', ['str', 'uint']),
    ioctl: lib.func('ioctl', 'int', ['int', 'ulong', 'void *']),
    prctl: lib.func('prctl', 'int', ['int', 'ulong']),
    schedGetaffinity: lib.func('sched_getaffinity', 'int', ['int', 'size_t', 'void *']),
    schedSetaffinity: lib.func('sched_setaffinity', 'int', ['int', 'size_t', 'void *']),
    schedGetcpu: lib.func('int sched_getcpu()'),
    addressOf: (buffer) => Number(koffi.address(buffer)),
    errno: () => koffi.errno(),
  };
}
