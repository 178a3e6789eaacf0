/**
 * The trace: what a recording consists of, its text and binary forms, and importers from other
 * tools' recordings. docs/trace.md tells the whole; everything here works on bytes and lines that
 * the caller provides, so it runs in a browser too.
 */
export { formatAddress, parseAddress } from './address.ts';
export type { AddressOptions, AddressSource } from './addresses/address-source.ts';
export { ChampsimSource } from './addresses/champsim.ts';
export { DrmemtraceSource } from './addresses/drmemtrace.ts';
export { DrmemtraceViewSource } from './addresses/drmemtrace-view.ts';
export { LackeySource } from './addresses/lackey.ts';
export { TouchSource } from './addresses/touches.ts';
export { BinaryReader } from './binary/binary-reader.ts';
export { BinaryWriter } from './binary/binary-writer.ts';
export { checkEvent } from './check-event.ts';
export * from './event.ts';
export { importPerfScript, type PerfScriptInput } from './importers/perf-script.ts';
export { importStrace, type StraceInput } from './importers/strace.ts';
export { importTracefs, type TracefsInput } from './importers/tracefs.ts';
export { LifeCheck } from './life-check.ts';
export { copyTrace, openTrace, writerFor } from './open.ts';
export { copyEvent, resetEvent } from './record.ts';
export { TextReader } from './text-reader.ts';
export { type ByteSink, formatEvent, TextWriter } from './text-writer.ts';
export { formatAdvice } from './words.ts';
