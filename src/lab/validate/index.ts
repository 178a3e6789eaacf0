export * from './compare.ts';
export * from './engine-subject.ts';
export * from './layouts.ts';
export * from './operations.ts';
export * from './profiles.ts';
export * from './shrink.ts';
export * from './subject.ts';
export * from './validate.ts';
