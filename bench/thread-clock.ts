import { createRequire } from 'node:module';

const CLOCK_THREAD_CPUTIME_ID = 3;

/** Nanoseconds of some clock. */
export type Clock = () => number;

/**
 * Processor time of the calling thread, by clock_gettime(2): what a thread used, whoever else was
 * running. `koffiPath` is koffi's main module; null, where it is missing, gives wall time.
 */
export function threadClock(koffiPath: string | null): Clock {
  if (koffiPath === null) return () => performance.now() * 1e6;
  const koffi = createRequire(import.meta.url)(koffiPath) as typeof import('koffi');
  const clockGettime = koffi.load('libc.so.6').func('clock_gettime', 'int', ['int', 'void *']);
  // struct timespec: seconds and nanoseconds, 64 bits each; the low halves suffice for 68 years.
  const time = new Uint32Array(4);
  return () => {
    if (clockGettime(CLOCK_THREAD_CPUTIME_ID, time) !== 0) throw new Error('clock_gettime failed');
    return time[0]! * 1e9 + time[2]!;
  };
}
