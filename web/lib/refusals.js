/** Refusals in words: what is wrong and what helps, from the code and the facts that come with it. */

import { exact } from "./format.js";

const FILTERS = {
  LOT_SIZE: ({ limit }) => `The quantity must be a multiple of ${exact(limit)}`,
  TICK_SIZE: ({ limit }) => `The price must be a multiple of ${exact(limit)}`,
  MIN_QUANTITY: ({ limit }) => `The quantity is below the minimum of ${exact(limit)}`,
  MAX_QUANTITY: ({ limit }) => `The quantity is above the maximum of ${exact(limit)}`,
  MIN_NOTIONAL: ({ limit, got }) => `The order is worth ${exact(got)}, below the minimum of ${exact(limit)}`,
  PRICE_BAND: ({ limit }) => `The price is too far from the mark: the limit is ${exact(limit)}`,
  MAX_OPEN_ORDERS: ({ limit }) => `You already have the ${exact(limit)} open orders that this market allows`,
  MAX_CONDITIONAL_ORDERS: ({ limit }) => `You already have the ${exact(limit)} conditional orders that this market allows`,
  MAX_POSITION: ({ limit }) => `The position would be larger than the ${exact(limit)} that this market allows`,
  MAX_OPEN_INTEREST: ({ limit }) => `The market's open interest would pass its limit of ${exact(limit)}`,
  WOULD_TRIGGER: ({ got }) => `The condition holds already: the price is ${exact(got)}`,
};

const CODES = {
  INSUFFICIENT_MARGIN: ({ required, available }) =>
    `Not enough margin: the account would need ${exact(required)}, and has ${exact(available)}`,
  INSUFFICIENT_BALANCE: ({ available }) => `Not enough to withdraw: ${exact(available)} is available`,
  MARKET_NOT_ACTIVE: () => "The market takes no such order now",
  EMAIL_TAKEN: () => "This e-mail address is already registered",
  OVERLOADED: () => "The exchange is busy: try again in a second",
  RATE_LIMITED: ({ limit, retryAfterSeconds }) =>
    limit === "totp" ? `Too many wrong codes: wait ${retryAfterSeconds} s, or use a recovery code` : "Too many requests: wait a moment",
  CONNECTION_LOST: () => "The connection was cut before the answer came",
};

/** One sentence about a refusal, without its code. */
export function sentence({ code, message, details = {} }) {
  const words = code === "INVALID_ORDER" ? FILTERS[details?.filter] : code === "INSUFFICIENT_MARGIN" && !details?.required ? null : CODES[code];
  const said = words ? words(details ?? {}) : message;
  return said ? said[0].toUpperCase() + said.slice(1) : code;
}

/** The same with the code that programs and support know. */
export function inWords(refusal) {
  return `${sentence(refusal)} (${refusal.code ?? "ERROR"})`;
}
