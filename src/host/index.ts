export * from './affinity.ts';
export * from './free-blocks.ts';
export * from './huge-pages.ts';
export * from './kernel-subject.ts';
export * from './libc.ts';
export * from './proc.ts';
export * from './ptrace.ts';
export * from './puppet.ts';
