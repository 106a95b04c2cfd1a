/** Change the leverage in the market that is traded. */

import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Field } from "../components/field.js";
import { report } from "../components/toast.js";
import { inWords } from "../lib/refusals.js";
import { html, useState } from "../vendor/htm/preact.js";
import { leverageOf, setLeverage } from "./leverage.js";

/** The dialog. */
export function LeverageDialog({ market, onClose }) {
  const [typed, type] = useState(String(leverageOf(market.id)));
  const [refusal, refuse] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await setLeverage(market.id, Number(typed));
      report(`Leverage in ${market.id} is ${typed}x`);
      onClose();
    } catch (refused) {
      refuse(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${`Leverage in ${market.id}`} onClose=${onClose}>
    <form class="stack" onSubmit=${submit}>
      <${Field} label="Leverage" unit="x" type="number" min="1" max=${market.maxLeverage} required autofocus value=${typed} onInput=${type} />
      <input type="range" aria-label="Leverage" min="1" max=${market.maxLeverage} value=${typed} onInput=${(event) => type(event.currentTarget.value)} />
      <p class="note">Up to ${market.maxLeverage}x. It applies to the position and the open orders of this market: a lower leverage needs more margin.</p>
      <p class="note bad" role="alert">${refusal && inWords(refusal)}</p>
      <${Button} kind="primary" type="submit" isBusy=${isBusy}>Set leverage<//>
    </form>
  <//>`;
}
