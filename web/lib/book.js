/** An order book kept from the messages of the channel `book`, and compared with the checksums in them. */

import { decimal } from "./decimal.js";

const CHECKED_LEVELS = 25;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/** The CRC-32 (zlib) of an ASCII text. */
export function crc32(text) {
  let rest = 0xffffffff;
  for (let index = 0; index < text.length; index += 1) {
    rest = (rest >>> 8) ^ TABLE[(rest ^ text.charCodeAt(index)) & 0xff];
  }
  return (rest ^ 0xffffffff) >>> 0;
}

/** One side: levels [price, quantity], best first. */
class Side {
  constructor(isBid) {
    this.isBid = isBid;
    this.levels = [];
    this.keys = [];
  }

  /** Set the quantity of a price; "0" removes the level. */
  apply([price, quantity]) {
    const key = this.isBid ? -decimal(price) : decimal(price);
    const place = this.#placeOf(key);
    const isKnown = this.keys[place] === key;
    if (quantity === "0") {
      if (!isKnown) return;
      this.levels.splice(place, 1);
      this.keys.splice(place, 1);
    } else if (isKnown) this.levels[place] = [price, quantity];
    else {
      this.levels.splice(place, 0, [price, quantity]);
      this.keys.splice(place, 0, key);
    }
  }

  #placeOf(key) {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Both sides as of `sequence`. */
export class Book {
  constructor() {
    this.sequence = 0;
    /** How many checksums agreed, how many did not, and how many updates did not follow the one before. */
    this.checks = { good: 0, bad: 0, gaps: 0 };
    this.#clear();
  }

  /** Apply a `snapshot` or an `update`; false where the book is not what the exchange has, and must be read again. */
  take(message) {
    if (message.op === "snapshot") this.#clear();
    else if (message.previous !== this.sequence) {
      this.checks.gaps += 1;
      return false;
    }
    for (const level of message.bids) this.#bids.apply(level);
    for (const level of message.asks) this.#asks.apply(level);
    this.sequence = message.sequence;
    return this.#agrees(message.checksum);
  }

  /** Levels [price, quantity], best first. */
  get bids() {
    return this.#bids.levels;
  }

  /** As above. */
  get asks() {
    return this.#asks.levels;
  }

  /** The checksum of docs/live.md. */
  get checksum() {
    const best = [...this.bids.slice(0, CHECKED_LEVELS), ...this.asks.slice(0, CHECKED_LEVELS)];
    return crc32(best.map(([price, quantity]) => `${price}:${quantity}`).join(":"));
  }

  #bids;
  #asks;

  #clear() {
    this.#bids = new Side(true);
    this.#asks = new Side(false);
  }

  #agrees(checksum) {
    if (checksum === undefined) return true;
    const agrees = checksum === this.checksum;
    this.checks[agrees ? "good" : "bad"] += 1;
    return agrees;
  }
}
