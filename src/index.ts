export * as trace from './trace/index.ts';
