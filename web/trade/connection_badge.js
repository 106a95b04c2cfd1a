/** The state of the connection: live, connecting, reconnecting, or stale since when. */

import { Badge } from "../components/badge.js";
import { timeOfDay } from "../lib/format.js";
import { useValue } from "../lib/state.js";
import { html } from "../vendor/htm/preact.js";
import { freshness } from "./freshness.js";

const KINDS = { live: "good", connecting: "plain", reconnecting: "warn", stale: "bad" };
const TITLES = {
  live: "Connected: what you see is current",
  connecting: "Connecting to the exchange",
  reconnecting: "The connection was cut; the page connects again by itself",
  stale: "Connected, but the market does not move: what you see is of the time shown",
};

/** A badge that is read out when the state changes. */
export function ConnectionBadge() {
  const { name, since } = useValue(freshness);
  const at = timeOfDay(new Date(since).toISOString());
  const text = { live: "Live", connecting: "Connecting", reconnecting: `Reconnecting since ${at}`, stale: `Stale since ${at}` }[name];
  return html`<span role="status" title=${TITLES[name]}><${Badge} kind=${KINDS[name]} data-state=${name}>${text}<//></span>`;
}
