import type { Random } from '../../base/index.ts';
import type { Allocator } from '../allocator/index.ts';
import type { HeapEvents } from './heap-events.ts';

/** sizeof(robj) and sizeof(dictEntry) on 64 bits (server.h, dict.h of Redis 3.2). */
const OBJECT_BYTES = 16;
const ENTRY_BYTES = 24;
const POINTER_BYTES = 8;
/** A client (server.h): its fields, then its reply buffer (PROTO_REPLY_CHUNK_BYTES). */
const CLIENT_BYTES = 440;
const REPLY_BYTES = 16_384;
/** Its query buffer has room for a read of 16 KiB (PROTO_IOBUF_LEN), twice that (sdsMakeRoomFor). */
const QUERY_BYTES = 32_768;
const PAGE_BYTES = 4096;
/** DICT_HT_INITIAL_SIZE. */
const INITIAL_BUCKETS = 4;

/** Bytes of an sds with its header and the zero at its end (sdsReqType, sds.c of Redis 3.2). */
export function sdsBytes(length: number): number {
  if (length < 32) return 1 + length + 1;
  if (length < 256) return 3 + length + 1;
  return (length < 65_536 ? 5 : 9) + length + 1;
}

/**
 * The main dictionary of Redis 3.2 with string values, as allocations and as reads and writes. For
 * each key there is a value (sds), its robj, a copy of the key (sds) and a dictEntry. The table
 * doubles when it has as many entries as buckets, and is then moved one bucket a command. Clients have
 * their buffers. Left out: what a command allocates and frees again (its arguments), and walks along
 * chains.
 */
export class RedisStore {
  readonly #heap: Allocator;
  readonly #events: HeapEvents;
  readonly #keyBytes: number;
  readonly #valueBytes: Int32Array;
  readonly #values: Float64Array;
  readonly #objects: Float64Array;
  readonly #keys: Float64Array;
  readonly #entries: Float64Array;
  /** Of each client: itself with its reply buffer, and its query buffer. */
  readonly #clients: number[] = [];
  readonly #queries: number[] = [];
  #used = 0;
  #table = 0;
  #buckets = 0;
  /** The page that was written last for objects, values, keys, entries; -1 after anything was freed. */
  readonly #lastPages: number[] = [-1, -1, -1, -1];
  /** While the table is moved: the old one, and the bucket that is next. */
  #oldTable = 0;
  #oldBuckets = 0;
  #nextBucket = 0;

  /** Values of `valueBytes`, or evenly from `spread` below to `spread` above (a part of 1). */
  constructor(
    heap: Allocator,
    events: HeapEvents,
    sizes: { keys: number; keyBytes: number; valueBytes: number; spread: number },
    random: Random,
  ) {
    this.#heap = heap;
    this.#events = events;
    this.#keyBytes = sdsBytes(sizes.keyBytes);
    const reach = Math.floor(sizes.valueBytes * sizes.spread);
    this.#valueBytes = Int32Array.from({ length: sizes.keys }, () =>
      sdsBytes(sizes.valueBytes - reach + (reach === 0 ? 0 : random.below(2 * reach + 1))),
    );
    this.#values = new Float64Array(sizes.keys);
    this.#objects = new Float64Array(sizes.keys);
    this.#keys = new Float64Array(sizes.keys);
    this.#entries = new Float64Array(sizes.keys);
  }

  /** A client connects (createClient). */
  connect(): void {
    const client = this.#heap.malloc(CLIENT_BYTES + REPLY_BYTES);
    const query = this.#heap.malloc(sdsBytes(QUERY_BYTES));
    this.#events.write(client, CLIENT_BYTES);
    this.#clients.push(client);
    this.#queries.push(query);
  }

  /** SET of a key that is not there. */
  set(key: number): void {
    const bytes = this.#valueBytes[key] as number;
    this.#objects[key] = this.#allocate(OBJECT_BYTES, 0);
    this.#values[key] = this.#allocate(bytes, 1);
    this.#keys[key] = this.#allocate(this.#keyBytes, 2);
    this.#moveBucket();
    if (this.#used >= this.#buckets && this.#oldTable === 0) this.#expand();
    this.#entries[key] = this.#allocate(ENTRY_BYTES, 3);
    this.#events.write(this.#bucketOf(key), POINTER_BYTES);
    this.#used++;
  }

  /** DEL of a key that is there. */
  delete(key: number): void {
    this.#moveBucket();
    this.#events.write(this.#bucketOf(key), POINTER_BYTES);
    this.#lastPages.fill(-1);
    this.#heap.free(this.#keys[key] as number);
    this.#heap.free(this.#values[key] as number);
    this.#heap.free(this.#objects[key] as number);
    this.#heap.free(this.#entries[key] as number);
    this.#used--;
  }

  /** GET of a key that is there, by a client: the command is read, the value copied to its buffer. */
  get(key: number, by: number): void {
    const events = this.#events;
    const client = this.#clients[by] as number;
    events.write(client, CLIENT_BYTES);
    events.write(this.#queries[by] as number, 2 * POINTER_BYTES + this.#keyBytes);
    this.#moveBucket();
    events.read(this.#bucketOf(key), POINTER_BYTES);
    events.read(this.#entries[key] as number, ENTRY_BYTES);
    events.read(this.#keys[key] as number, this.#keyBytes);
    // The time of the last access is written to the object (robj.lru).
    events.write(this.#objects[key] as number, OBJECT_BYTES);
    const bytes = this.#valueBytes[key] as number;
    events.read(this.#values[key] as number, bytes);
    // Longer ones would go to a list of blocks.
    events.write(client + CLIENT_BYTES, Math.min(bytes, REPLY_BYTES));
  }

  /**
   * Memory for a new thing, written. Small things fill a page one after the other: only the first
   * write to a page that still is the last one is told.
   */
  #allocate(bytes: number, kind: number): number {
    const addr = this.#heap.malloc(bytes);
    const last = Math.floor((addr + bytes - 1) / PAGE_BYTES);
    const isSamePage = last === this.#lastPages[kind] && Math.floor(addr / PAGE_BYTES) === last;
    if (!isSamePage) this.#events.write(addr, bytes);
    this.#lastPages[kind] = last;
    return addr;
  }

  /** dictExpand: a new table, zero from the kernel and not written. */
  #expand(): void {
    const buckets = Math.max(INITIAL_BUCKETS, 2 * this.#used);
    const table = this.#heap.malloc(buckets * POINTER_BYTES);
    this.#oldTable = this.#table;
    this.#oldBuckets = this.#buckets;
    this.#nextBucket = 0;
    this.#table = table;
    this.#buckets = buckets;
  }

  /** _dictRehashStep: a bucket's entries go to one of two buckets of the new table. */
  #moveBucket(): void {
    if (this.#oldTable === 0) return;
    const bucket = this.#nextBucket++;
    this.#events.read(this.#oldTable + bucket * POINTER_BYTES, POINTER_BYTES);
    this.#events.write(this.#table + bucket * POINTER_BYTES, POINTER_BYTES);
    const other = bucket + this.#oldBuckets;
    this.#events.write(this.#table + other * POINTER_BYTES, POINTER_BYTES);
    if (this.#nextBucket < this.#oldBuckets) return;
    this.#heap.free(this.#oldTable);
    this.#oldTable = 0;
  }

  #bucketOf(key: number): number {
    return this.#table + (mixed(key) & (this.#buckets - 1)) * POINTER_BYTES;
  }
}

/** A hash of 32 bits, for an even spread over buckets (the finalizer of MurmurHash3). */
function mixed(key: number): number {
  let hash = Math.imul(key ^ (key >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
