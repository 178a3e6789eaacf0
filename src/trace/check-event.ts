import {
  Errno,
  MAP_ANONYMOUS,
  MREMAP_FIXED,
  THP_DISABLE,
  THP_DISABLE_EXCEPT_ADVISED,
} from '../base/index.ts';
import { formatAddress, PAGE_BYTES, USER_SPACE_END } from './address.ts';
import { CONTENT_MAX, Op, Outcome, SAMPLE_FIELDS, type TraceEvent } from './event.ts';

/** Linux never gives a higher process number (PID_MAX_LIMIT, include/linux/threads.h). */
export const PID_LIMIT = 2 ** 22;

/** MAX_ERRNO, include/linux/err.h. */
const ERRNO_LIMIT = 4095;

const ADDRESS_LIMIT = 2 ** 64;
const LENGTH_LIMIT = 2 ** 64;

/**
 * What makes the fields of this event impossible, or null: `what is wrong; what would be right`.
 * A call that the kernel refused (`ok:false`) may carry any address and length: that may be why.
 */
export function checkEvent(event: TraceEvent): string | null {
  if (isPlainTouch(event)) return null;
  return checkIds(event) ?? checkOutcome(event) ?? checkAddresses(event) ?? checkArguments(event);
}

/** Nearly every event of a trace: one comparison each for what could be wrong with it. */
function isPlainTouch(event: TraceEvent): boolean {
  return (
    event.op === Op.touch &&
    event.count === 1 &&
    event.strideBytes === PAGE_BYTES &&
    event.content === -1 &&
    event.errno === 0 &&
    event.addr >= 0 &&
    event.addr < USER_SPACE_END &&
    event.pid >= 1 &&
    event.pid <= PID_LIMIT &&
    event.tid >= 0 &&
    event.tid <= PID_LIMIT &&
    event.timeNs >= -1 &&
    event.timeNs <= Number.MAX_SAFE_INTEGER
  );
}

function checkIds(event: TraceEvent): string | null {
  if (!(event.timeNs >= -1 && event.timeNs <= Number.MAX_SAFE_INTEGER)) {
    return `time ${event.timeNs} ns; give nanoseconds from 0 to 2^53`;
  }
  if (event.pid === 0 && event.op === Op.mark) return null;
  if (!(event.pid >= 1 && event.pid <= PID_LIMIT)) return badId('pid', event.pid);
  if (!(event.tid >= 0 && event.tid <= PID_LIMIT)) return badId('tid', event.tid);
  if (event.op === Op.fork && !(event.child >= 1 && event.child <= PID_LIMIT)) {
    return badId('child', event.child);
  }
  return null;
}

function badId(key: string, value: number): string {
  return `${key} ${value} is no process number; give one from 1 to ${PID_LIMIT}`;
}

function checkOutcome(event: TraceEvent): string | null {
  if (!(event.errno >= 0 && event.errno <= ERRNO_LIMIT)) {
    return `errno ${event.errno} is none of Linux's; give a name`;
  }
  if (event.errno === 0 || event.outcome === Outcome.failed) return null;
  return 'an errno without ok:false; say "ok":false or leave errno out';
}

function checkAddresses({ addr, newAddr }: TraceEvent): string | null {
  if (addr >= 0 && addr < ADDRESS_LIMIT && newAddr >= 0 && newAddr < ADDRESS_LIMIT) return null;
  return `address ${addr >= 0 && addr < ADDRESS_LIMIT ? newAddr : addr} has not 64 bits; give one from 0 to 2^64`;
}

function checkArguments(event: TraceEvent): string | null {
  switch (event.op) {
    case Op.touch:
      return checkTouch(event);
    case Op.mmap:
      return checkRange('addr', event.addr, event.len, event) ?? checkOffset(event);
    case Op.mremap:
      return checkMremap(event);
    case Op.munmap:
    case Op.mprotect:
    case Op.madvise:
      return checkRange('addr', event.addr, event.len, event);
    // mlock and munlock round their start down; a break may be any address.
    case Op.mlock:
    case Op.munlock:
    case Op.brk:
      return checkLength('len', event.len) ?? checkEnd('addr', event.addr, event.len, event);
    case Op.truncate:
    case Op.punch:
      return checkLength('len', event.len) ?? checkLength('off', event.off);
    case Op.sample:
      return checkSample(event);
    case Op.request:
      return checkWork(event);
    case Op.prctl:
      return checkThpDisable(event);
    default:
      return null;
  }
}

function checkTouch(event: TraceEvent): string | null {
  if (!(event.count >= 1 && Number.isSafeInteger(event.count))) {
    return `count ${event.count}; give the number of touches, at least 1`;
  }
  if (!(event.strideBytes >= 1 && Number.isSafeInteger(event.strideBytes))) {
    return `stride ${event.strideBytes}; give the bytes between touches, at least 1`;
  }
  if (!(event.content >= -1 && event.content <= CONTENT_MAX)) {
    return `content ${event.content}; give a number from 0 to ${CONTENT_MAX}`;
  }
  if (event.content >= 0 && !event.isWrite) {
    return 'a content without a write; say "write":true or leave content out';
  }
  const span = (event.count - 1) * event.strideBytes;
  return checkEnd('addr', event.addr, span, event);
}

function checkOffset(event: TraceEvent): string | null {
  const problem = checkLength('off', event.off);
  if (problem !== null || event.outcome === Outcome.failed) return problem;
  if (event.off % PAGE_BYTES === 0 || (event.flags & MAP_ANONYMOUS) !== 0) return null;
  return `off ${event.off} is not page-aligned; give a multiple of 4096, or "ok":false`;
}

function checkMremap(event: TraceEvent): string | null {
  const problem =
    checkRange('addr', event.addr, event.len, event) ?? checkLength('newLen', event.newLen);
  if (problem !== null) return problem;
  const hasDestination = event.newAddr !== 0 || (event.flags & MREMAP_FIXED) !== 0;
  return hasDestination ? checkRange('newAddr', event.newAddr, event.newLen, event) : null;
}

function checkRange(key: string, addr: number, len: number, event: TraceEvent): string | null {
  const problem = checkLength('len', len);
  if (problem !== null || event.outcome === Outcome.failed) return problem;
  if (addr % PAGE_BYTES !== 0) {
    return `${key} ${formatAddress(addr)} is not page-aligned; give a multiple of 0x1000, or "ok":false if the kernel refused it`;
  }
  return checkEnd(key, addr, len, event);
}

function checkEnd(key: string, addr: number, len: number, event: TraceEvent): string | null {
  if (event.outcome === Outcome.failed) return null;
  if (addr >= USER_SPACE_END) {
    return `${key} ${formatAddress(addr)} is not a user-space address; give one below 0x100000000000000, or "ok":false if the kernel refused it`;
  }
  if (addr + len > USER_SPACE_END) {
    return `${key} ${formatAddress(addr)} and ${len} bytes reach beyond user space; end at or below 0x100000000000000, or give "ok":false`;
  }
  return null;
}

function checkLength(key: string, value: number): string | null {
  if (value >= 0 && value <= LENGTH_LIMIT && Number.isInteger(value)) return null;
  return `${key} ${value} is no length; give bytes from 0 to 2^64`;
}

function checkWork({ workNs }: TraceEvent): string | null {
  if (Number.isSafeInteger(workNs) && workNs >= 0) return null;
  return `work ${workNs} is no time; give nanoseconds from 0 to 2^53`;
}

function checkThpDisable({ flags }: TraceEvent): string | null {
  if ((flags & ~(THP_DISABLE | THP_DISABLE_EXCEPT_ADVISED)) === 0) return null;
  return `prctl with the bits ${flags}; give ${THP_DISABLE} to disable huge pages, ${THP_DISABLE_EXCEPT_ADVISED} more to except what is advised`;
}

function checkSample(event: TraceEvent): string | null {
  if (event.sample === null) return 'a sample without its counters; give at least one';
  for (const field of SAMPLE_FIELDS) {
    const value = event.sample[field];
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue;
    return `${field} ${value} is no counter; give an integer from 0`;
  }
  return null;
}

/** Whether an errno name can be one at all; those that base does not know are kept as `extra`. */
export function isErrnoName(name: string): boolean {
  return name in Errno || /^E(?:[A-Z0-9]{2,20}|#[0-9]{1,4})$/.test(name);
}
