/**
 * LLFree (Wrenger et al., USENIX ATC 2023): a frame allocator without locks and without lists.
 * docs/llfree.md explains it. Nothing here knows the machine: it works on a buffer of its own.
 *
 *   layout.ts     where everything lies in the buffer
 *   words.ts      writes of one word, atomic or not
 *   bit-field.ts  512 bits, one a frame
 *   lower.ts      bit fields and their counters: which frames are in use
 *   trees.ts      one counter for several of them, its class, whether a core has it reserved
 *   locals.ts     what each core has reserved
 *   search.ts     which tree a core reserves next
 *   llfree.ts     get and put
 *   recover.ts    counters and trees from what a crash left
 *   validate.ts   everything that is counted, counted again
 */
export { HUGE_FRAMES, HUGE_ORDER, type LLFreeDesign, type LLFreeOptions } from './layout.ts';
export { LLFree } from './llfree.ts';
export { recoverLLFree } from './recover.ts';
export { validateLLFree } from './validate.ts';
