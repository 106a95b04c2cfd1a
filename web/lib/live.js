/**
 * The socket: subscriptions that resume after a cut, and requests with their results (docs/live.md).
 *
 * `state` is {name: "connecting" | "live" | "reconnecting", since}. A cut is healed by connecting again; each subscription goes on
 * from the position of the last message that its handler has taken.
 */

import { refusalOf, Refusal } from "./api.js";
import { session } from "./session.js";
import { Value } from "./state.js";

const ACCOUNT_CHANNELS = new Set(["orders", "fills", "positions", "balances"]);
const OF_ONE_VALUE = new Set(["bbo", "mark", "ticker", "candles", "status"]);
const BY_SEQUENCE = new Set(["trades", "liquidations", "funding"]);
const PING_MS = 4_000;
const SILENT_MS = 10_000;
const AGAIN_MS = [100, 250, 500, 1_000, 2_000];
const SUBSCRIBE_AGAIN_MS = 1_000;

/** One connection to `/ws`, for as long as the page is open. */
export class Live {
  state = new Value({ name: "connecting", since: Date.now() });
  #subscriptions = new Map();
  #pending = new Map();
  #socket = null;
  #tries = 0;
  #lastId = 0;
  #hasUser = false;
  #isKnown = false;
  #heardAt = 0;
  #timer = null;

  constructor(url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`) {
    this.url = url;
    session.watch(() => this.#changeUser());
    window.addEventListener("online", () => this.#connectNow());
    setInterval(() => this.#keepAlive(), PING_MS);
    this.#connect();
  }

  /**
   * Follow a channel. `fields` are those of `subscribe`; `from` among them is where to begin. `take` gets each message, `begin`
   * is called before the first one when it is not a resumption. Returns what ends the subscription.
   *
   * Channels that show one value may be followed from several places: all get the same messages, a later one first the last.
   */
  subscribe(fields, take, begin = () => {}) {
    const { from = null, ...request } = fields;
    const key = keyOf(request);
    const listener = { take, begin };
    let subscription = this.#subscriptions.get(key);
    if (subscription && !OF_ONE_VALUE.has(request.channel)) throw new Error(`${key} is followed already`);
    if (subscription) {
      subscription.listeners.add(listener);
      if (subscription.last) take(subscription.last);
    } else {
      subscription = { request, from, last: null, listeners: new Set([listener]), isPrivate: ACCOUNT_CHANNELS.has(request.channel) };
      this.#subscriptions.set(key, subscription);
      this.#begin(subscription);
    }
    return () => this.#leave(key, subscription, listener);
  }

  /** Read a subscription from its beginning again, as when a checksum differs. */
  restart(fields) {
    const subscription = this.#subscriptions.get(keyOf(fields));
    if (!subscription || !this.#isOpen) return;
    subscription.from = null;
    this.request("unsubscribe", subscription.request)
      .catch(() => {})
      .then(() => this.#subscriptions.get(keyOf(fields)) === subscription && this.#begin(subscription));
  }

  /** The result {status, body, commandId, milliseconds} of a request; throws a Refusal, CONNECTION_LOST where it got no result. */
  request(op, fields = {}) {
    if (!this.#isOpen) return Promise.reject(lost("there is no connection to the exchange"));
    const id = (this.#lastId += 1);
    const began = performance.now();
    return new Promise((resolve, reject) => {
      this.#pending.set(id, (result) => {
        if (result.status >= 200 && result.status < 300) resolve({ ...result, milliseconds: performance.now() - began });
        else reject(result.status ? refusalOf(result.status, result.body) : lost(result.message));
      });
      this.#socket.send(JSON.stringify({ op, id, ...fields }));
    });
  }

  #leave(key, subscription, listener) {
    subscription.listeners.delete(listener);
    if (subscription.listeners.size || this.#subscriptions.get(key) !== subscription) return;
    this.#subscriptions.delete(key);
    if (this.#isOpen) this.request("unsubscribe", subscription.request).catch(() => {});
  }

  get #isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = (this.#socket = new WebSocket(this.url));
    socket.onopen = () => socket === this.#socket && this.#opened();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#received(JSON.parse(data));
    socket.onclose = () => socket === this.#socket && this.#closed();
  }

  #connectNow() {
    if (this.state.now.name === "live" || this.#socket?.readyState === WebSocket.CONNECTING) return;
    this.#connect();
  }

  #opened() {
    this.#tries = 0;
    this.#hasUser = this.#isKnown = false;
    this.#heardAt = Date.now();
    this.state.set({ name: "live", since: Date.now() });
    if (session.now) this.#authenticate();
    for (const subscription of this.#subscriptions.values()) if (!subscription.isPrivate) this.#begin(subscription);
  }

  #closed() {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const end of pending) end({ status: 0, message: "the connection was cut" });
    if (this.state.now.name === "live") this.state.set({ name: "reconnecting", since: Date.now() });
    const wait = AGAIN_MS[Math.min(this.#tries, AGAIN_MS.length - 1)];
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }

  /** A connection without a user takes one; another user, or none, needs another connection. */
  #changeUser() {
    const mine = [...this.#subscriptions.values()].filter(({ isPrivate }) => isPrivate);
    for (const subscription of mine) subscription.from = null;
    if (this.#isOpen && !this.#hasUser && session.now) return this.#authenticate();
    const old = this.#socket;
    this.#tries = 0;
    this.#socket = null;
    this.state.set({ name: "connecting", since: Date.now() });
    old?.close(1000);
    this.#closed();
    return undefined;
  }

  /** Name the user of the connection; the channels of the account begin after it. */
  #authenticate() {
    const { token } = session.now;
    const socket = this.#socket;
    this.#hasUser = true;
    this.request("auth", { token }).then(
      () => {
        if (socket !== this.#socket) return;
        this.#isKnown = true;
        for (const subscription of this.#subscriptions.values()) if (subscription.isPrivate) this.#begin(subscription);
      },
      (refusal) => {
        if (refusal.code === "UNAUTHENTICATED" && session.now?.token === token) session.expire();
        else if (refusal.code !== "CONNECTION_LOST" && socket === this.#socket) setTimeout(() => socket.close(), AGAIN_MS.at(-1));
      },
    );
  }

  #begin(subscription) {
    if (!this.#isOpen || (subscription.isPrivate && !this.#isKnown)) return;
    const { request, from } = subscription;
    subscription.isResumed = from !== null && !BY_SEQUENCE.has(request.channel);
    this.request("subscribe", from === null ? request : { ...request, from }).catch((refusal) => {
      if (refusal.code === "CONNECTION_LOST" || refusal.status === 401) return;
      if (refusal.status === 404) this.#subscriptions.delete(keyOf(request));
      else setTimeout(() => this.#subscriptions.get(keyOf(request)) === subscription && this.#begin(subscription), SUBSCRIBE_AGAIN_MS);
    });
  }

  #received(message) {
    this.#heardAt = Date.now();
    if (message.op === "result" || (message.op === "error" && message.id)) this.#finish(message);
    else if (message.op === "unsubscribed") session.expire();
    else if (message.channel) this.#pass(message);
  }

  #finish(message) {
    const end = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    const isError = message.op === "error";
    end?.(isError ? { status: 400, body: { error: { code: message.code, message: message.message } } } : message);
  }

  #pass(message) {
    const subscription = this.#subscriptions.get(keyOf(message));
    if (!subscription) return;
    for (const { take, begin } of subscription.listeners) {
      if (message.op === "subscribed" && !subscription.isResumed) begin();
      take(message);
    }
    if (message.op !== "subscribed" && OF_ONE_VALUE.has(message.channel)) subscription.last = message;
    if (message.cursor) subscription.from = message.cursor;
    else if (BY_SEQUENCE.has(message.channel)) subscription.from = (message.sequence ?? 0) + 1;
  }

  #keepAlive() {
    if (!this.#isOpen) return;
    if (Date.now() - this.#heardAt > SILENT_MS) {
      const silent = this.#socket;
      this.#socket = null;
      silent.close();
      this.#closed();
    } else this.request("ping").catch(() => {});
  }
}

/** What a message belongs to; those of the account name a market too, but their channels are of all markets. */
function keyOf({ channel, market = "", depth = "", interval = "" }) {
  if (ACCOUNT_CHANNELS.has(channel)) return channel;
  return `${channel}|${market}|${depth}|${interval}`;
}

function lost(message) {
  return new Refusal(0, { code: "CONNECTION_LOST", message });
}
