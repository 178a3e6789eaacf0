import type { Machine } from '../machine.ts';
import { VM_SHARED } from './vm-flags.ts';
import { V_FLAGS, V_OBJECT, vmaAt, vmaEnd, vmaPgoff, vmaStart } from './vma.ts';

/** One line of /proc/PID/maps. Bytes. */
export interface Area {
  start: number;
  end: number;
  /** PROT_* bits. */
  prot: number;
  isShared: boolean;
  /** The object mapped, 0 for private anonymous memory. */
  object: number;
  offset: number;
  /** All VM_* flags. */
  flags: number;
}

/** The areas of an address space in address order, those that touch [from, to) only. */
export function areasOf(m: Machine, mm: number, from = 0, to = Infinity): Area[] {
  const areas: Area[] = [];
  for (let at = 0; ; at++) {
    const vma = vmaAt(m, mm, at);
    if (vma === 0) return areas;
    const start = vmaStart(m, vma) * 4096;
    const end = vmaEnd(m, vma) * 4096;
    if (end <= from || start >= to) continue;
    const flags = m.words[vma + V_FLAGS];
    areas.push({
      start,
      end,
      prot: flags & 7,
      isShared: (flags & VM_SHARED) !== 0,
      object: m.words[vma + V_OBJECT],
      offset: vmaPgoff(m, vma) * 4096,
      flags,
    });
  }
}
