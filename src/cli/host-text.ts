import { cpus, release, type as systemType } from 'node:os';

/** The machine in words: what a measured figure belongs to. */
export function hostText(): string {
  const [first, ...others] = cpus();
  const processors = `${1 + others.length} x ${first?.model.trim() ?? 'processor'}`;
  return `${processors}, ${systemType()} ${release()}, Node ${process.version}`;
}
