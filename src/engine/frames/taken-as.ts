/** What frames that leave free memory become, as far as `frameTaken` tells it apart. */
export type TakenAs = number;

/** Each a thing of its own: a page, a table. */
export const TAKEN_EACH = 0;
/** One page of 2 MiB. */
export const TAKEN_HUGE = 1;
/** Frames of which the kernel knows nothing but what entries of tables say: those of Morsels. */
export const TAKEN_BARE = 2;
