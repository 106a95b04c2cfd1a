/**
 * Exact decimals. A decimal is a BigInt that counts units of 10^-18: the most decimals that the API sends or takes.
 * JavaScript's numbers are binary and are used for drawing only.
 */

const PLACES = 18;
const UNIT = 10n ** BigInt(PLACES);
const FORM = /^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$/;

/** The decimal that a text of the API or of a field names; null for anything else. */
export function decimal(text) {
  if (typeof text !== "string" || !FORM.test(text)) return null;
  const [whole, fraction = ""] = text.replace("-", "").split(".");
  const value = BigInt(whole) * UNIT + BigInt(fraction.padEnd(PLACES, "0"));
  return text.startsWith("-") ? -value : value;
}

/** The shortest text of a decimal, as the API writes it. */
export function toText(value) {
  return toFixed(value, PLACES).replace(/\.?0+$/, (tail) => (tail.startsWith(".") ? "" : tail.replace(/0+$/, "")));
}

/** The text with so many decimals, half away from zero. */
export function toFixed(value, places) {
  const step = 10n ** BigInt(PLACES - places);
  const size = value < 0n ? -value : value;
  const units = (size + step / 2n) / step;
  const digits = units.toString().padStart(places + 1, "0");
  const shown = places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
  return value < 0n && units > 0n ? `-${shown}` : shown;
}

/** The product, cut off after 18 decimals. */
export function times(left, right) {
  return (left * right) / UNIT;
}

/** The quotient, cut off after 18 decimals; null where the divisor is zero. */
export function over(left, right) {
  return right === 0n ? null : (left * UNIT) / right;
}

/** The largest multiple of a step that is not above the decimal. */
export function roundDown(value, step) {
  const rest = ((value % step) + step) % step;
  return value - rest;
}

/** The nearest multiple of a step, halves up. */
export function roundNear(value, step) {
  return roundDown(value + step / 2n, step);
}

/** How many decimals a step has: 1 for 0.1, 0 for 5. */
export function placesOf(text) {
  return text.split(".")[1]?.length ?? 0;
}

/** The smaller of two. */
export function least(left, right) {
  return left < right ? left : right;
}

/** A number for drawing; never for money. */
export function toNumber(value) {
  return Number(value) / 1e18;
}
