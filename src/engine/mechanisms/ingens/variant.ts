/**
 * Ingens as the paper describes it, or as the kernel that was released with it does it (ut-osa/ingens,
 * Linux 4.3), where the two differ. What differs in a number only is in options.ts.
 */
export interface IngensVariant {
  readonly id: string;
  readonly title: string;
  /** A huge page stays while enough of it is in use; else any part given back splits it, as in Linux. */
  readonly keepsPartlyFreed: boolean;
  /** The first fault of a region makes its node and does not look at the threshold (mm/memory.c). */
  readonly ignoresFirstFault: boolean;
  /** A region is asked for once (`committed`), until a part of it was given back. */
  readonly asksOnce: boolean;
  /** The moving average is an integer around 0 and is cut off towards 0 (`frequency_update`). */
  readonly hasIntegerAverage: boolean;
  /** A base page's history moves on twice in a scan that looks at it (`osa_bpage_pte_walker`). */
  readonly shiftsTwice: boolean;
  /** Requests in order of age, whoever made them; then what the other rules of khugepaged say. */
  readonly isFirstComeFirstServed: boolean;
}

export const PUBLISHED: IngensVariant = {
  id: 'ingens',
  title: 'huge pages in the background from 90 % use on (Ingens)',
  keepsPartlyFreed: true,
  ignoresFirstFault: false,
  asksOnce: false,
  hasIntegerAverage: false,
  shiftsTwice: false,
  isFirstComeFirstServed: false,
};

export const RELEASED: IngensVariant = {
  id: 'ingens-artifact',
  title: 'Ingens as released, where that differs from the paper',
  keepsPartlyFreed: false,
  ignoresFirstFault: true,
  asksOnce: true,
  hasIntegerAverage: true,
  shiftsTwice: true,
  isFirstComeFirstServed: true,
};
