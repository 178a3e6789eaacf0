/**
 * pagelab as a library: the engine's `Machine`, `System` and `Process`, Linux's constants, and the
 * layers above it. Nothing here needs Node; the engine runs in a browser too.
 */
export * from './base/index.ts';
export * from './engine/index.ts';
export * as lab from './lab/index.ts';
export * as trace from './trace/index.ts';
