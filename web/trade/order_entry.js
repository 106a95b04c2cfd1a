/** Orders, amends and cancels over the socket, with what became of them in words and how long the answer took. */

import { read } from "../lib/api.js";
import { exact } from "../lib/format.js";
import { newId } from "../lib/ids.js";
import { inWords } from "../lib/refusals.js";
import { Value } from "../lib/state.js";
import { report, reportRefusal } from "../components/toast.js";
import { live } from "./connection.js";
import { expectOrder } from "./account_feed.js";
import { typeName } from "./order_types.js";

const KEPT = 20;
const ASK_AGAIN_MS = 1_500;
const ASKED_TIMES = 4;

/** Milliseconds from a click to the stored order, newest first. */
export const latencies = new Value([]);

/** Place an order; true when it was accepted. */
export async function place(body) {
  const order = { ...body, clientOrderId: body.clientOrderId ?? `web-${newId()}` };
  try {
    const { body: taken, milliseconds } = await live.request("order.place", order);
    expectOrder(pendingView(order, taken));
    note(milliseconds);
    report(`${described(order)} accepted in ${milliseconds.toFixed(0)} ms`);
    return true;
  } catch (refusal) {
    if (refusal.code === "CONNECTION_LOST" || refusal.code === "UNAVAILABLE") await findOut(order, refusal);
    else reportRefusal(refusal);
    return false;
  }
}

/** Change the terms of an order; true when the amend was accepted. */
export function amend(order, terms) {
  return ask("order.amend", { orderId: order.orderId, ...terms }, `Amend of ${order.orderId}`);
}

/** Cancel an order. */
export function cancel(order) {
  return ask("order.cancel", { orderId: order.orderId }, `Cancel of ${order.orderId}`);
}

/** Cancel every order of a market, or of all. */
export function cancelAll(marketId) {
  return ask("order.cancel_all", marketId ? { marketId } : {}, `Cancel of all orders${marketId ? ` in ${marketId}` : ""}`);
}

/** What an order is, in a few words. */
export function described({ side, type, quantity, closePosition, price, triggerPrice, callbackRate, marketId }) {
  const size = closePosition ? "the position" : exact(quantity);
  const at = [price && `at ${exact(price)}`, triggerPrice && `from ${exact(triggerPrice)}`, callbackRate && `trailing ${callbackRate}`];
  return `${side === "BUY" ? "Buy" : "Sell"} ${size} ${marketId} ${[typeName(type), ...at].filter(Boolean).join(" ")}`;
}

async function ask(op, fields, what) {
  try {
    const { milliseconds } = await live.request(op, fields);
    note(milliseconds);
    report(`${what} accepted in ${milliseconds.toFixed(0)} ms`);
    return true;
  } catch (refusal) {
    reportRefusal(refusal, `${what}: `);
    return false;
  }
}

/** After a cut nobody knows whether the order was stored: ask for it by its client id, and say so. */
async function findOut(order, refusal) {
  report(`${described(order)}: ${inWords(refusal)}. Asking the exchange about it`, "plain");
  for (let asked = 0; asked < ASKED_TIMES; asked += 1) {
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    try {
      const { orderId, status } = await read(`/orders/by-client-id/${order.clientOrderId}`);
      report(`${described(order)} was stored: ${orderId} is ${status}`);
      return;
    } catch ({ code }) {
      if (code === "ORDER_NOT_FOUND" && asked > 0) {
        report(`${described(order)} was not stored`, "bad");
        return;
      }
    }
  }
  report(`${described(order)}: it is still unknown whether it was stored. Look at your orders before you repeat it`, "bad");
}

function note(milliseconds) {
  latencies.set([milliseconds, ...latencies.now].slice(0, KEPT));
}

/** What is known of an order before its market has answered it. */
function pendingView(order, { orderId, status }) {
  const now = new Date().toISOString();
  const { takeProfit, stopLoss, ...terms } = order;
  return {
    timeInForce: "GTC",
    price: null,
    averagePrice: null,
    reduceOnly: false,
    postOnly: false,
    reason: null,
    quantity: "0",
    ...terms,
    orderId,
    status,
    filledQuantity: "0",
    remainingQuantity: order.quantity ?? "0",
    createdAt: now,
    updatedAt: now,
  };
}
