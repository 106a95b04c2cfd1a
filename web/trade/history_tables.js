/** What has happened: orders, fills, funding payments and movements of the wallet, page by page. */

import { Side, toneOf } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { exact, percent, signed, words } from "../lib/format.js";
import { inWords } from "../lib/refusals.js";
import { session } from "../lib/session.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { conditionsOf, typeOf } from "./orders_table.js";
import { markets, precisionOf } from "./markets.js";
import { usePages } from "./pages.js";

const price = ({ marketId, price: text }) => (text ? (precisionOf(marketId)?.price(text) ?? exact(text)) : "Market");
const time = (name) => ({ title: "Time", cell: (row) => html`<${Time} at=${row[name]} />` });
const market = { title: "Market", cell: ({ marketId }) => marketId ?? "–" };
const side = { title: "Side", cell: (row) => html`<${Side} side=${row.side} />` };
const quantity = (name, title) => ({ title, isNumber: true, cell: (row) => precisionOf(row.marketId)?.quantity(row[name]) ?? exact(row[name]) });
const amount = (name, title) => ({ title, isNumber: true, cell: (row) => html`<span class=${toneOf(row[name])}>${signed(row[name], 6)}</span>` });

const ORDERS = [
  time("updatedAt"),
  market,
  { title: "Type", cell: typeOf },
  side,
  { title: "Price", isNumber: true, cell: price },
  { title: "Average", isNumber: true, cell: ({ marketId, averagePrice }) => precisionOf(marketId)?.price(averagePrice) },
  quantity("filledQuantity", "Filled"),
  quantity("quantity", "Quantity"),
  { title: "Conditions", isWide: true, cell: conditionsOf },
  { title: "Status", cell: ({ status, reason }) => html`<span title=${reason ?? undefined}>${words(status)}${reason ? `: ${words(reason).toLowerCase()}` : ""}</span>` },
  { title: "Order", isWide: true, cell: ({ orderId }) => html`<code>${orderId}</code>` },
];
const FILLS = [
  time("time"),
  market,
  side,
  { title: "Price", isNumber: true, cell: price },
  quantity("quantity", "Quantity"),
  { title: "Role", cell: ({ liquidityRole, cause }) => (cause === "TRADE" ? words(liquidityRole) : words(cause)) },
  { title: "Fee", isNumber: true, cell: ({ fee, feeAsset }) => `${exact(fee)} ${feeAsset}` },
  amount("realizedPnl", "Realized PnL"),
  { title: "Trade", isWide: true, cell: ({ tradeId }) => html`<code>${tradeId}</code>` },
];
const FUNDING = [
  time("time"),
  market,
  side,
  quantity("quantity", "Size"),
  { title: "Mark", isNumber: true, cell: ({ marketId, markPrice }) => precisionOf(marketId)?.price(markPrice) },
  { title: "Rate", isNumber: true, cell: ({ rate }) => percent(rate, 4) },
  amount("amount", "Payment"),
];
const LEDGER = [
  time("time"),
  { title: "Type", cell: ({ type, cause }) => `${words(type)}${cause && cause !== "TRADE" ? ` (${words(cause).toLowerCase()})` : ""}` },
  market,
  amount("amount", "Amount"),
  { title: "Balance after", isNumber: true, cell: ({ balanceAfter, asset }) => `${exact(balanceAfter)} ${asset}` },
  { title: "Reference", isWide: true, cell: ({ referenceId }) => html`<code>${referenceId}</code>` },
];

/** Each history: where it is read, and how its rows look. */
const HISTORIES = {
  orders: { path: "/orders?status=FILLED,CANCELLED,REJECTED,EXPIRED", columns: ORDERS, keyOf: ({ orderId }) => orderId, title: "Orders that have ended" },
  fills: { path: "/fills?", columns: FILLS, keyOf: ({ tradeId, orderId }) => `${tradeId} ${orderId}`, title: "Fills" },
  funding: { path: "/funding-payments?", columns: FUNDING, keyOf: ({ eventId, marketId }) => `${eventId} ${marketId}`, title: "Funding payments" },
  ledger: { path: "/ledger?", columns: LEDGER, keyOf: ({ entryId }) => entryId, title: "Movements of the wallet" },
};

/** The history `kind`: "orders", "fills", "funding" or "ledger"; of one market where `onlyMarket` names it. */
export function HistoryTable({ kind, onlyMarket }) {
  useValue(markets);
  const { path, columns, keyOf, title } = HISTORIES[kind];
  const scoped = onlyMarket ? `${path}&marketId=${encodeURIComponent(onlyMarket)}` : path;
  const { rows, hasMore, isReading, refusal, more } = usePages(useValue(session) ? scoped : null);
  const after = hasMore && html`<p class="below"><${Button} class="small" isBusy=${isReading} onClick=${more}>Show more<//></p>`;
  const empty = refusal ? inWords(refusal) : isReading ? "Reading" : "Nothing yet";
  return html`<${Table} caption=${title} columns=${columns} rows=${rows} keyOf=${keyOf} empty=${empty} after=${after} />`;
}
