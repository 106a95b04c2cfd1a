/** What the console reads again and again: each path while something shows it, every two seconds. */

import { read, Refusal } from "../lib/api.js";
import { session } from "../lib/session.js";
import { Value, useValue } from "../lib/state.js";
import { useEffect } from "../vendor/htm/preact.js";
import { askRole } from "./role.js";

const EVERY_MS = 2_000;
const STALE_MS = 8_000;

/** {body, at, refusal}: the last answer, when it came, and why there is no newer one. */
export class Polled extends Value {
  #path;
  #everyMs;
  #users = 0;
  #timer = null;
  #isReading = false;

  constructor(path, everyMs = EVERY_MS) {
    super({ body: null, at: 0, refusal: null });
    this.#path = path;
    this.#everyMs = everyMs;
    session.watch(() => {
      this.set({ body: null, at: 0, refusal: null });
      if (this.#users) this.read();
    });
  }

  /** Read it as long as it is used; returns what ends this. */
  use() {
    this.#users += 1;
    if (this.#users === 1) this.read();
    return () => {
      this.#users -= 1;
      if (!this.#users) clearTimeout(this.#timer);
    };
  }

  /** Read it now, and go on from here. */
  async read() {
    if (this.#isReading || !session.now) return;
    clearTimeout(this.#timer);
    this.#isReading = true;
    const login = session.now;
    try {
      const body = await read(this.#path);
      if (session.now === login) this.set({ body, at: Date.now(), refusal: null });
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      if (session.now === login) this.set({ ...this.now, refusal });
      if (refusal.code === "FORBIDDEN") askRole();
    } finally {
      this.#isReading = false;
    }
    const isGone = this.now.refusal?.status === 404;
    if (this.#users && !isGone) this.#timer = setTimeout(() => this.read(), this.#everyMs);
  }
}

/** The last answer of a polled path, which is read as long as this component is shown. */
export function usePolled(polled) {
  useEffect(() => polled.use(), [polled]);
  return useValue(polled);
}

/** Since when a polled value is old, as an ISO time; null while it is new. */
export function staleSince({ at, refusal }) {
  return at && refusal && Date.now() - at > STALE_MS ? new Date(at).toISOString() : null;
}

export const markets = new Polled("/admin/markets");
export const processes = new Polled("/admin/processes");
export const conservation = new Polled("/admin/conservation");
export const audits = new Polled("/admin/audits?limit=20", 5_000);
export const verifications = new Polled("/admin/verifications?limit=20", 10_000);
export const fund = new Polled("/insurance-fund?limit=1");
export const liquidations = new Polled("/admin/liquidations?limit=50");
export const deadLetters = new Polled("/admin/dead-letters?limit=100", 10_000);
export const acts = new Polled("/admin/acts?limit=100");
