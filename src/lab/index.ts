export * from './kernels.ts';
export * from './machines.ts';
export * from './replay/executor.ts';
export * from './replay/picture.ts';
export * from './replay/replay.ts';
export * from './replay/result.ts';
export * from './validate/index.ts';
export * from './workloads/index.ts';
