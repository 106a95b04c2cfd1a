/** The order form: every type, with what would become of the order while it is typed. */

import { Button, Segmented } from "../components/button.js";
import { Choice } from "../components/field.js";
import { session } from "../lib/session.js";
import { useValue } from "../lib/state.js";
import { html, useState } from "../vendor/htm/preact.js";
import { LoginDialog } from "../components/login.js";
import { leverageOf, leverages } from "./leverage.js";
import { LeverageDialog } from "./leverage_dialog.js";
import { chosen, market, markets } from "./markets.js";
import { bodyOf, change, clearAmounts, draft } from "./order_draft.js";
import { place } from "./order_entry.js";
import { OrderFields } from "./order_fields.js";
import { OrderPreview } from "./order_preview.js";
import { isConditional, TYPES } from "./order_types.js";

const SIDES = [
  { value: "BUY", label: "Buy", kind: "buy" },
  { value: "SELL", label: "Sell", kind: "sell" },
];
const KINDS = [
  { value: "LIMIT", label: "Limit" },
  { value: "MARKET", label: "Market" },
  { value: "CONDITIONAL", label: "Conditional" },
];
const CONDITIONAL = Object.entries(TYPES)
  .filter(([type]) => isConditional(type))
  .map(([value, { name }]) => ({ value, label: name }));

/** The panel. */
export function OrderForm() {
  const fields = useValue(draft);
  const login = useValue(session);
  const id = useValue(chosen);
  useValue(markets);
  const [asksLogin, askLogin] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const traded = market();
  const { missing } = bodyOf(fields, id);
  const submit = async (event) => {
    event.preventDefault();
    if (!login) return askLogin(true);
    const { body, missing: isMissing } = bodyOf(draft.now, id); // what is typed, which may not be drawn yet
    if (isMissing || isBusy || chosen.now !== id) return undefined;
    setBusy(true);
    const isPlaced = await place(body);
    setBusy(false);
    return isPlaced && clearAmounts();
  };
  const kind = isConditional(fields.type) ? "CONDITIONAL" : fields.type;
  const setKind = (value) => change({ type: value === "CONDITIONAL" ? "STOP_MARKET" : value });
  return html`<section class="panel order" aria-label="Order form">
    <div class="panel-head">
      <h2>Order</h2>
      <${LeverageButton} market=${traded} isLoggedIn=${Boolean(login)} />
    </div>
    <form class="order-form" onSubmit=${submit} novalidate>
      <${Segmented} label="Side" class="sides" options=${SIDES} value=${fields.side} onChange=${(side) => change({ side })} />
      <${Segmented} label="Type" options=${KINDS} value=${kind} onChange=${setKind} />
      ${kind === "CONDITIONAL" && html`<${Choice} label="Condition" options=${CONDITIONAL} value=${fields.type} onChange=${(type) => change({ type })} />`}
      ${traded && html`<${OrderFields} fields=${fields} market=${traded} />`}
      <${Button} kind=${fields.side === "BUY" ? "buy" : "sell"} class="submit" type="submit" isBusy=${isBusy} aria-disabled=${login && missing ? "true" : null}>
        ${login ? `${fields.side === "BUY" ? "Buy" : "Sell"} ${traded?.baseAsset ?? ""}` : "Log in to trade"}
      <//>
      <${OrderPreview} missing=${login ? missing : null} market=${traded} />
    </form>
    ${asksLogin && !login && html`<${LoginDialog} onClose=${() => askLogin(false)} />`}
  </section>`;
}

function LeverageButton({ market: traded, isLoggedIn }) {
  useValue(leverages);
  const [isOpen, open] = useState(false);
  if (!traded) return null;
  return html`<${Button} class="small" disabled=${!isLoggedIn} title="Margin is shared by all markets of the account" onClick=${() => open(true)}>Cross ${leverageOf(traded.id)}x<//>
    ${isOpen && html`<${LeverageDialog} market=${traded} onClose=${() => open(false)} />`}`;
}
