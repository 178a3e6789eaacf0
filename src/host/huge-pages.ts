import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const THP_DIRECTORY = '/sys/kernel/mm/transparent_hugepage';
const SCRATCH_ADDR = 0x0f0000000000;
const SLOT_BYTES = 2 ** 21;
const SYS_MMAP = 9;
const SYS_MUNMAP = 11;
const SYS_MADVISE = 28;
const PROT_RW = 3;
const MAP_PRIVATE_ANON_FIXED = 0x32;
const MADV_HUGEPAGE = 14;
const SETTLE_MS = 150;

/** Why huge pages by madvise cannot be compared on this machine; null when they can. */
export function whyNoHugePages(): string | null {
  try {
    if (!setting('enabled').includes('[madvise]')) {
      return `transparent huge pages are not set to madvise (${THP_DIRECTORY}/enabled)`;
    }
    for (const name of readdirSync(THP_DIRECTORY)) {
      // Sizes that only shared memory can have lack the file.
      const hasSetting = existsSync(`${THP_DIRECTORY}/${name}/enabled`);
      const isOther = name.startsWith('hugepages-') && name !== 'hugepages-2048kB';
      if (isOther && hasSetting && !setting(`${name}/enabled`).includes('[never]')) {
        return `huge pages of another size are on (${THP_DIRECTORY}/${name}/enabled)`;
      }
    }
    return setting('use_zero_page').trim() === '1' ? null : 'the huge zero page is off';
  } catch {
    return 'this kernel has no transparent huge pages';
  }
}

/** How many huge pages khugepaged has made so far: if it moves during a run, the run is void. */
export function khugepagedCollapses(): number {
  return Number(setting('khugepaged/pages_collapsed'));
}

/**
 * khugepaged fills slots by itself. It sleeps while it knows no process, and the first HUGEPAGE
 * wakes it at once, in the middle of a run. So it gets to know the puppet now, is woken now, and
 * then sleeps its interval (10 s by default).
 */
export function settleKhugepaged(puppet: {
  syscall(number: number, ...args: number[]): number;
  touch(addr: number, isWrite: boolean): boolean;
}): void {
  const flags = MAP_PRIVATE_ANON_FIXED;
  puppet.syscall(SYS_MMAP, SCRATCH_ADDR, SLOT_BYTES, PROT_RW, flags, -1, 0);
  puppet.touch(SCRATCH_ADDR, true);
  puppet.syscall(SYS_MADVISE, SCRATCH_ADDR, SLOT_BYTES, MADV_HUGEPAGE);
  puppet.syscall(SYS_MUNMAP, SCRATCH_ADDR, SLOT_BYTES);
  try {
    const path = `${THP_DIRECTORY}/khugepaged/scan_sleep_millisecs`;
    writeFileSync(path, readFileSync(path, 'utf8'));
  } catch {
    // Not root: it wakes by itself sooner or later, which pages_collapsed shows.
  }
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SETTLE_MS);
}

function setting(name: string): string {
  return readFileSync(`${THP_DIRECTORY}/${name}`, 'utf8');
}
