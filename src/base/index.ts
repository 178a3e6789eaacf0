export * from './abi.ts';
export * from './address-batch.ts';
export * from './assert.ts';
export * from './errno.ts';
export * from './input-error.ts';
export * from './random.ts';
export * from './text.ts';
