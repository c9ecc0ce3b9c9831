// Decimal text and whole micros. Never through a fraction of the machine's: 0.1 + 0.2 is not 0.3 there.

/** "12.30" → micros as a whole number; null for what is no such sum, or finer than cents. A comma is refused: it means cents here and thousands there. */
export function microsOf(text) {
  const found = /^(\d{1,9})(?:\.(\d{1,2}))?$/.exec(text.trim());
  if (!found) return null;
  return Number(found[1] + (found[2] ?? '').padEnd(6, '0'));
}
