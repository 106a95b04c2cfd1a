/** The order form's fields, and the body of `POST /orders` that they mean. */

import { decimal, over, toText } from "../lib/decimal.js";
import { Value } from "../lib/state.js";
import { isConditional, TYPES } from "./order_types.js";

const EMPTY = {
  side: "BUY",
  type: "LIMIT",
  price: "",
  quantity: "",
  triggerPrice: "",
  workingType: "MARK",
  callbackPercent: "1",
  activationPrice: "",
  closePosition: false,
  slippagePercent: "",
  timeInForce: "GTC",
  expiresAt: "",
  postOnly: false,
  reduceOnly: false,
  selfTradePreventionMode: "EXPIRE_MAKER",
  hasLegs: false,
  takeProfit: "",
  stopLoss: "",
  legsWorkingType: "MARK",
};
const HUNDRED = decimal("100");
const NEEDED = { price: "the price", quantity: "the quantity", triggerPrice: "the trigger price", callbackRate: "the callback rate", expiresAt: "the time of expiry" };

/** The form now. */
export const draft = new Value(EMPTY);

/** Change some fields. */
export function change(fields) {
  draft.set({ ...draft.now, ...fields });
}

/** Empty what belongs to one order only, or to one market. */
export function clearAmounts({ isOtherMarket = false } = {}) {
  const prices = isOtherMarket ? { price: "", triggerPrice: "", activationPrice: "" } : {};
  change({ quantity: "", takeProfit: "", stopLoss: "", hasLegs: false, ...prices });
}

/** What the form may choose for the type of the draft. */
export function allowed({ type, timeInForce, closePosition }) {
  const kind = TYPES[type];
  return {
    price: Boolean(kind.hasPrice),
    trigger: Boolean(kind.hasTrigger),
    trailing: Boolean(kind.isTrailing),
    close: Boolean(kind.canClose),
    quantity: !(kind.canClose && closePosition),
    slippage: type === "MARKET",
    timeInForce: Boolean(kind.hasPrice),
    expiry: Boolean(kind.hasPrice) && timeInForce === "GTD",
    postOnly: Boolean(kind.hasPrice) && ["GTC", "GTD"].includes(timeInForce),
    reduceOnly: !(kind.canClose && closePosition),
    legs: !isConditional(type),
  };
}

/** The body of the order in a market, and what is `missing` for it, in words. */
export function bodyOf(fields, marketId) {
  const may = allowed(fields);
  const body = { marketId, side: fields.side, type: fields.type };
  if (may.price) body.price = plain(fields.price);
  if (may.quantity) body.quantity = plain(fields.quantity);
  if (may.trigger) body.triggerPrice = plain(fields.triggerPrice);
  if (may.trailing) body.callbackRate = rateOf(fields.callbackPercent);
  if (may.trailing && fields.activationPrice) body.activationPrice = plain(fields.activationPrice);
  if (may.trigger || may.trailing) body.workingType = fields.workingType;
  if (may.close && fields.closePosition) body.closePosition = true;
  if (may.slippage && fields.slippagePercent) body.maxSlippage = rateOf(fields.slippagePercent);
  if (may.timeInForce) body.timeInForce = fields.timeInForce;
  if (may.expiry) body.expiresAt = momentOf(fields.expiresAt);
  if (may.postOnly && fields.postOnly) body.postOnly = true;
  if (may.reduceOnly && fields.reduceOnly) body.reduceOnly = true;
  if (fields.selfTradePreventionMode !== "EXPIRE_MAKER") body.selfTradePreventionMode = fields.selfTradePreventionMode;
  if (may.legs && fields.hasLegs) Object.assign(body, legsOf(fields));
  const missing = Object.keys(NEEDED).find((name) => name in body && !body[name]);
  return { body, missing: missing ? NEEDED[missing] : null };
}

function legsOf({ takeProfit, stopLoss, legsWorkingType }) {
  const leg = (text) => ({ triggerPrice: plain(text), workingType: legsWorkingType });
  return { ...(takeProfit ? { takeProfit: leg(takeProfit) } : {}), ...(stopLoss ? { stopLoss: leg(stopLoss) } : {}) };
}

/** The decimal that was typed, in the API's form ("0.1" for ".1"); "" for anything else. */
function plain(text) {
  const value = decimal(text.replace(/^0+(?=\d)/, "").replace(/^\./, "0.").replace(/\.$/, ""));
  return value === null || value === 0n ? "" : toText(value);
}

function rateOf(percent) {
  const value = decimal(plain(percent));
  return value === null ? "" : toText(over(value, HUNDRED));
}

/** The UTC time of a local one. */
function momentOf(local) {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
