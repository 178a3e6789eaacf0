/** Kernels in the order of the document; style.ts gives each a colour for light and for dark. */
const COLORS = 8;

export interface KernelColor {
  color: string;
  isDashed: boolean;
}

/** A line that stands for all kernels belongs to none. */
export function kernelColor(at: number, isForAll = false): KernelColor {
  if (isForAll) return { color: 'var(--all)', isDashed: false };
  return { color: `var(--k${at % COLORS})`, isDashed: at >= COLORS };
}
