/** The confirmation of an act: it names what happens, and asks for the reason that goes into the log of operators. */

import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Field } from "../components/field.js";
import { report } from "../components/toast.js";
import { inWords } from "../lib/refusals.js";
import { html, useState } from "../vendor/htm/preact.js";
import { acts } from "./polled.js";

const REASON_MAX = 500;

/**
 * Asks, then does it. `what` are sentences about what happens, `verb` is on the button, `act(reason)` does it and returns a report.
 * `children` are further fields; `isReady` whether they are filled in.
 */
export function ActDialog({ title, what, verb, isDangerous = false, isReady = true, act, onClose, children }) {
  const [reason, setReason] = useState("");
  const [refusal, setRefusal] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setRefusal(null);
    try {
      report(await act(reason.trim()));
      acts.read();
      onClose();
    } catch (refused) {
      setRefusal(refused);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} class="act">
    <form class="stack" onSubmit=${submit}>
      ${what.map((sentence) => html`<p key=${sentence}>${sentence}</p>`)} ${children}
      <${Field} label="Reason, for the log of operators" required maxlength=${REASON_MAX} autofocus value=${reason} onInput=${setReason} />
      <p class="note bad" role="alert">${refusal && inWords(refusal)}</p>
      <div class="actions">
        <${Button} onClick=${onClose}>Do nothing<//>
        <${Button} kind=${isDangerous ? "danger" : "primary"} type="submit" isBusy=${isBusy} disabled=${isBusy || !isReady || !reason.trim()}>${verb}<//>
      </div>
    </form>
  <//>`;
}
