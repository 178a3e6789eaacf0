/**
 * Whether a JSON value nests at most `limit` deep. `JSON.parse` takes any depth, but writing such a
 * value again recurses, so readers refuse what writers could not give back.
 */
export function isWithinDepth(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (limit === 0) return false;
  return Object.values(value).every((child) => isWithinDepth(child, limit - 1));
}

export const MAX_JSON_DEPTH = 64;
