/** Hops on the parts of the system that do them, in time order, with the time that each took. */

import { Time } from "../components/time.js";
import { exact, words } from "../lib/format.js";
import { html } from "../vendor/htm/preact.js";

const PARTS = [
  { id: "api", label: "API", note: "PostgreSQL: order and outbox row in one transaction" },
  { id: "relay", label: "Relay", note: "into the command log" },
  { id: "engine", label: "Engine", note: "matches, writes the event log" },
  { id: "projection", label: "Projection", note: "into the tables" },
];
const PART_OF = { ACCEPTED: "api", CANCEL_REQUESTED: "api", RELAYED: "relay", PERSISTED: "projection" };

/** The path: a column for each part, a row for each hop. */
export function TracePath({ trace: { hops, hasMoreFills } }) {
  const times = hops.map(({ time }) => (time ? Date.parse(time) : null));
  return html`<div class="path">
    <div class="path-head" aria-hidden="true">${PARTS.map(({ id, label, note }) => html`<div key=${id}><strong>${label}</strong><span class="note">${note}</span></div>`)}</div>
    <ol>
      ${hops.map((hop, place) => html`<${Hop} key=${place} hop=${hop} previous=${place ? hops[place - 1] : null} took=${tookBefore(times, place)} />`)}
    </ol>
    ${hasMoreFills && html`<p class="note">Only the first 500 fills are shown</p>`}
  </div>`;
}

function Hop({ hop, previous, took }) {
  const part = partOf(hop);
  const from = previous ? placeOf(partOf(previous)) : placeOf(part);
  const to = placeOf(part);
  const way = { "--from": Math.min(from, to), "--to": Math.max(from, to) };
  const { label } = PARTS[to];
  return html`<li class=${hop.isDone ? "" : "waits"}>
    ${from !== to && html`<span class="way" style=${way} aria-hidden="true"></span>`}
    <div class=${`hop at-${to}`}>
      <strong>${words(hop.hop)}</strong> <span class="unseen">at the ${label}</span>
      <span class="note">${hop.isDone ? html`<${Time} at=${hop.time} isShort />${took === null ? "" : ` +${took} ms`}` : "waits for this"}</span>
      <span class="note">${factsOf(hop)}</span>
    </div>
  </li>`;
}

function factsOf({ price, quantity, liquidityRole, reason, tradeId, eventId, commandId }) {
  const size = quantity && price ? `${exact(quantity)} at ${exact(price)}` : price ? `at ${exact(price)}` : null;
  const role = liquidityRole && words(liquidityRole).toLowerCase();
  return [size, role, reason && words(reason).toLowerCase(), tradeId && `trade ${tradeId}`, eventId && `event ${eventId}`, commandId && `command ${commandId}`].filter(Boolean).join(", ");
}

function partOf({ hop }) {
  return PART_OF[hop] ?? "engine";
}

function placeOf(part) {
  return PARTS.findIndex(({ id }) => id === part);
}

function tookBefore(times, place) {
  const before = times.slice(0, place).filter((time) => time !== null).at(-1);
  return times[place] === null || before === undefined ? null : Math.max(0, times[place] - before);
}
