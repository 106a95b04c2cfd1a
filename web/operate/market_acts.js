/** What an operator does to a market: halt, cancel-only, resume, drain; each names what happens, and shows what became of it. */

import { call } from "../lib/api.js";
import { exact } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";
import { ActDialog } from "./act_dialog.js";
import { markets } from "./polled.js";

const HELD = ({ openOrders, waitingOrders, openInterest }) =>
  `It has ${openOrders} resting and ${waitingOrders} waiting orders, and an open interest of ${exact(openInterest)}.`;

const ACTS = {
  halt: {
    status: "HALTED",
    verb: "Halt",
    isDangerous: true,
    what: (market) => [
      `${market.marketId} stops matching: no order is accepted, and nothing fills. Cancels still work.`,
      "No position is liquidated there, and a funding interval that ends meanwhile settles at rate 0.",
      HELD(market),
    ],
  },
  cancelOnly: {
    status: "CANCEL_ONLY",
    verb: "Accept only cancels",
    isDangerous: true,
    what: (market) => [
      `${market.marketId} accepts only cancels: no new order, also none that reduces. Resting orders stay in the book.`,
      HELD(market),
    ],
  },
  resume: {
    status: "ACTIVE",
    verb: "Resume",
    isDangerous: false,
    what: (market) => [
      `${market.marketId} accepts every order again and matches, from the next command on.`,
      ...(market.isFrozen ? ["Its price sources are below their quorum: it opens when enough of them report again."] : []),
      ...(market.haltReason ? [`The exchange itself has halted it: ${market.haltReason}. It stays halted until that is mended.`] : []),
    ],
  },
};

/** The confirmation of `kind`: "halt", "cancelOnly", "resume" or "drain". */
export function MarketActDialog({ kind, market, onClose }) {
  if (kind === "drain") return html`<${DrainDialog} market=${market} onClose=${onClose} />`;
  const { status, verb, what, isDangerous } = ACTS[kind];
  const act = async (reason) => {
    const path = `/admin/markets/${encodeURIComponent(market.marketId)}/status`;
    const { after } = await call("POST", path, { status, reason });
    const found = await statusAfter(after.commandId, market.marketId);
    markets.read();
    return found ? `${market.marketId} is ${found}` : `${market.marketId}: ${status} is in its log, and is not processed yet`;
  };
  return html`<${ActDialog} title=${`${verb}: ${market.marketId}`} what=${what(market)} verb=${verb} isDangerous=${isDangerous} act=${act} onClose=${onClose} />`;
}

function DrainDialog({ market, onClose }) {
  const name = market ? market.marketId : "every market";
  const what = [
    `Waits until everything that ${name} has accepted before is matched and in the tables, at most 30 seconds.`,
    "Trading goes on meanwhile. A market that the exchange itself has halted is left out.",
  ];
  const act = async (reason) => {
    const { processed, skipped } = await call("POST", "/admin/drain", market ? { marketId: market.marketId, reason } : { reason });
    const left = skipped.length ? `; left out: ${skipped.join(", ")}` : "";
    return `Drained ${name}: ${processed} commands meanwhile${left}`;
  };
  return html`<${ActDialog} title=${`Drain ${name}`} what=${what} verb="Drain" act=${act} onClose=${onClose} />`;
}

/** The status once the command is persisted; null where that takes longer. */
async function statusAfter(commandId, marketId) {
  try {
    const all = await call("GET", "/admin/markets", undefined, { "X-Wait-For-Command": commandId });
    return all.find((market) => market.marketId === marketId)?.status ?? null;
  } catch (refusal) {
    if (refusal.code === "NOT_YET") return null;
    throw refusal;
  }
}

/** Which acts fit a market as it is. */
export function actsFor({ operatorStatus }) {
  if (operatorStatus === "SETTLED" || operatorStatus === "SETTLEMENT_ONLY") return ["drain"];
  return [
    ...(operatorStatus === "ACTIVE" ? [] : ["resume"]),
    ...(operatorStatus === "CANCEL_ONLY" || operatorStatus === "HALTED" ? [] : ["cancelOnly"]),
    ...(operatorStatus === "HALTED" ? [] : ["halt"]),
    "drain",
  ];
}

/** The words of the buttons. */
export const LABELS = { halt: "Halt", cancelOnly: "Cancel-only", resume: "Resume", drain: "Drain" };
