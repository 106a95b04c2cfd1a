/** Numbers and times as people read them: the market's precision, thousands apart, local times with UTC at hand. */

import { decimal, placesOf, toFixed } from "./decimal.js";

const NONE = "–";
const MINUS = "\u2212";

/** A decimal text with so many decimals and thousands apart. */
export function fixed(text, places) {
  const value = decimal(text ?? "");
  return value === null ? NONE : grouped(toFixed(value, places));
}

/** The same with a sign before gains too. */
export function signed(text, places) {
  const value = decimal(text ?? "");
  if (value === null) return NONE;
  const shown = grouped(toFixed(value, places));
  return value > 0n ? `+${shown}` : shown;
}

/** A decimal text as it is, with thousands apart. */
export function exact(text) {
  return text === null || text === undefined ? NONE : grouped(text);
}

/** A rate as percent. */
export function percent(text, places = 2) {
  const value = decimal(text ?? "");
  return value === null ? NONE : `${grouped(toFixed(value * 100n, places))}%`;
}

/** The same with a sign before gains too. */
export function signedPercent(text, places = 2) {
  const value = decimal(text ?? "");
  return value !== null && value > 0n ? `+${percent(text, places)}` : percent(text, places);
}

/** A large amount in thousands, millions or billions. */
export function compact(text) {
  const value = decimal(text ?? "");
  if (value === null) return NONE;
  const number = Number(toFixed(value, 2));
  for (const [size, name] of [[1e9, "B"], [1e6, "M"], [1e3, "K"]]) {
    if (Math.abs(number) >= size) return `${(number / size).toFixed(2)}${name}`;
  }
  return grouped(toFixed(value, 2));
}

/** How prices and quantities of a market are written. */
export class Precision {
  constructor(market) {
    this.pricePlaces = placesOf(market.tickSize);
    this.quantityPlaces = placesOf(market.lotSize);
  }

  /** A price. */
  price(text) {
    return fixed(text, this.pricePlaces);
  }

  /** A quantity. */
  quantity(text) {
    return fixed(text, this.quantityPlaces);
  }
}

/** The local time of day of an ISO time. */
export function timeOfDay(iso) {
  return new Date(iso).toLocaleTimeString([], { hourCycle: "h23" });
}

/** The local date and time of an ISO time. */
export function dateAndTime(iso) {
  const at = new Date(iso);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The UTC time, for a title. */
export function utc(iso) {
  return `${iso.replace("T", " ").replace(/(\.\d{3})\d*Z$/, "$1")} UTC`;
}

/** Hours, minutes and seconds that are left. */
export function countdown(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

/** Constants of the API as words: PARTIALLY_FILLED as "Partially filled". */
export function words(constant) {
  if (!constant) return NONE;
  const lower = constant.toLowerCase().replaceAll("_", " ");
  return lower[0].toUpperCase() + lower.slice(1);
}

function grouped(text) {
  const [whole, fraction] = text.replace("-", "").split(".");
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return `${text.startsWith("-") ? MINUS : ""}${apart}${fraction === undefined ? "" : `.${fraction}`}`;
}
