import { assert } from '../../base/index.ts';
import { CPU_STATE, CPU_TICKS, CPU_WORDS, H_CPUS, H_STOP, HEADER_WORDS } from '../layout.ts';
import type { Machine } from '../machine.ts';
import { advanceGraceIfMany } from './grace.ts';
import { pause } from './pause.ts';

/**
 * Who is inside the machine, and how one thread gets it to itself.
 *
 * A thread is ONLINE while it runs operations, OFFLINE while it does not (it holds nothing of the
 * machine then), and PARKED while another thread has stopped the world. Each operation brackets
 * itself; a worker that runs many goes online once, which spares two atomic stores each.
 *
 * Stopping the world (stop_machine) is for what reaches everywhere and is rare: reclaim through the
 * reverse mapping, validation. It waits until each other thread is offline or parked; threads park
 * where an operation begins, where they wait for a lock that may be held long, and where they
 * themselves wait to stop the world. They hold no spin lock there, and look at tables anew afterwards.
 */
export const CPU_OFFLINE = 0;
export const CPU_ONLINE = 1;
export const CPU_PARKED = 2;

/** From here on this thread's operations need no bracket of their own. Only for shared machines. */
export function goOnline(m: Machine): void {
  const at = m.cpuAt + CPU_STATE;
  assert(m.isShared && !m.isOnline, 'a thread goes online twice');
  for (;;) {
    Atomics.store(m.words, at, CPU_ONLINE);
    if (Atomics.load(m.words, H_STOP) === 0) break;
    Atomics.store(m.words, at, CPU_OFFLINE);
    awaitResume(m);
  }
  m.isOnline = true;
}

/** This thread leaves the machine: it holds nothing, and nobody waits for it. */
export function goOffline(m: Machine): void {
  assert(m.isOnline, 'a thread goes offline twice');
  m.isOnline = false;
  Atomics.store(m.words, m.cpuAt + CPU_STATE, CPU_OFFLINE);
}

/** Begins an operation; what it returns goes to `leave`. */
export function enter(m: Machine): boolean {
  if (!m.isShared) return false;
  if (m.isOnline) {
    if (m.words[H_STOP] !== 0) park(m);
    return false;
  }
  goOnline(m);
  return true;
}

/** Ends an operation: this thread holds no reference to a table any more (threads/grace.ts). */
export function leave(m: Machine, wasOffline: boolean): void {
  if (!m.isShared) return;
  m.words[m.cpuAt + CPU_TICKS] += 1;
  m.roomRounds = 0;
  advanceGraceIfMany(m);
  if (wasOffline) goOffline(m);
}

/** Where this thread may be stopped: gives way if somebody wants the world. */
export function park(m: Machine): void {
  const at = m.cpuAt + CPU_STATE;
  if (m.isWorldStopped) return;
  while (Atomics.load(m.words, H_STOP) !== 0) {
    Atomics.store(m.words, at, CPU_PARKED);
    awaitResume(m);
    Atomics.store(m.words, at, CPU_ONLINE);
  }
}

function awaitResume(m: Machine): void {
  for (;;) {
    const holder = Atomics.load(m.words, H_STOP);
    if (holder === 0) return;
    pause(m.words, H_STOP, holder);
  }
}

/**
 * Stops all other threads. The caller holds no spin lock, and what it knows of tables no longer holds
 * when this returns.
 */
export function stopWorld(m: Machine): void {
  const w = m.words;
  assert(!m.isWorldStopped, 'the world is stopped twice');
  while (Atomics.compareExchange(w, H_STOP, 0, m.cpu + 1) !== 0) park(m);
  for (let cpu = 0; cpu < w[H_CPUS]; cpu++) {
    if (cpu === m.cpu) continue;
    const at = HEADER_WORDS + cpu * CPU_WORDS + CPU_STATE;
    while (Atomics.load(w, at) === CPU_ONLINE) pause(w, at, CPU_ONLINE);
  }
  m.isWorldStopped = true;
}

export function resumeWorld(m: Machine): void {
  m.isWorldStopped = false;
  Atomics.store(m.words, H_STOP, 0);
  Atomics.notify(m.words, H_STOP);
}
