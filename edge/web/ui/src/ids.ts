/** Element ids for labels. Own counter: crypto.randomUUID is missing on plain http. */

let last = 0;

export function freshId(prefix: string): string {
  last += 1;
  return `${prefix}-${last}`;
}
