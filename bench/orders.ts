import { Random } from '../src/base/index.ts';

/** Which pages of a range are touched, in order; and the areas that the range is made of. */
export interface Plan {
  /** Pages from the first to the end of the last area. */
  readonly spanPages: number;
  /** Page numbers within the range, each once. */
  readonly order: Int32Array;
  /** [first page, pages] of each area; between two areas is a hole. */
  readonly areas: readonly (readonly [number, number])[];
}

/** One area, touched from its first page to its last. */
export function ascending(pages: number): Plan {
  const order = Int32Array.from({ length: pages }, (_, i) => i);
  return { spanPages: pages, order, areas: [[0, pages]] };
}

/** One area, touched in an order that has nothing to do with the addresses. */
export function shuffled(pages: number, seed: number): Plan {
  const plan = ascending(pages);
  const random = new Random(seed);
  const { order } = plan;
  for (let i = pages - 1; i > 0; i--) {
    const j = random.below(i + 1);
    const page = order[i]!;
    order[i] = order[j]!;
    order[j] = page;
  }
  return plan;
}

/** Many areas with a hole of one page behind each; every touch is in another area than the last. */
export function acrossAreas(pages: number, areaCount: number): Plan {
  const each = Math.max(1, Math.floor(pages / areaCount));
  const stride = each + 1;
  const order = new Int32Array(each * areaCount);
  for (let i = 0; i < order.length; i++) {
    order[i] = (i % areaCount) * stride + Math.floor(i / areaCount);
  }
  const areas = Array.from({ length: areaCount }, (_, i) => [i * stride, each] as const);
  return { spanPages: areaCount * stride, order, areas };
}
