/** An order's trace, drawn as a path through the system. */

import { Button } from "../components/button.js";
import { Field } from "../components/field.js";
import { exact } from "../lib/format.js";
import { inWords } from "../lib/refusals.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { markets, Polled, usePolled } from "./polled.js";
import { TracePath } from "./trace_path.js";

/** The field for the order, and its path. */
export function TracePanel({ orderId }) {
  const [typed, setTyped] = useState(orderId ?? "");
  const all = usePolled(markets).body ?? [];
  const open = (event) => {
    event.preventDefault();
    if (typed.trim()) location.hash = `proof/${encodeURIComponent(typed.trim())}`;
  };
  return html`<section class="panel" aria-label="Path of an order">
    <div class="panel-head"><h2>Path of an order</h2></div>
    <form class="search" onSubmit=${open}>
      <${Field} label="Order id" maxlength="64" value=${typed} onInput=${setTyped} placeholder=${all.length ? `${all[0].marketId}-${all[0].commands}` : ""} />
      <${Button} type="submit" kind="primary">Trace<//>
    </form>
    ${orderId ? html`<${Trace} orderId=${orderId} />` : html`<p class="empty">Each order's id is the number of its command: the path shows every hop of it</p>`}
  </section>`;
}

function Trace({ orderId }) {
  const [polled] = useState(() => new Polled(`/admin/orders/${encodeURIComponent(orderId)}/trace`));
  const { body, refusal } = usePolled(polled);
  useEffect(() => document.getElementById("trace-title")?.scrollIntoView({ block: "nearest" }), [body === null]);
  if (body === null) return html`<p class="empty" role="status">${refusal ? inWords(refusal) : "Reading"}</p>`;
  const behind = body.acceptedCommandSequence - body.persistedCommandSequence;
  return html`<div class="trace">
    <p id="trace-title">
      <strong>${body.orderId}</strong> ${body.status} <span class="note">command ${exact(String(body.commandSequence))} of ${body.marketId}; the market has persisted up to ${exact(String(body.persistedCommandSequence))}${behind ? `, ${behind} behind` : ""}</span>
    </p>
    <${TracePath} trace=${body} />
  </div>`;
}
