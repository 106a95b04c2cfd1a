/** What the address of a page names. */

/** A part of it as text; null where there is none, or where it is no text. */
export function decoded(part) {
  try {
    return decodeURIComponent(part) || null;
  } catch {
    return null;
  }
}
