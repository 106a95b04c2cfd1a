/** What every form of this page does: send, say that it is under way, and show why it was refused. */

import { inWords } from "../lib/refusals.js";
import { html, useState } from "../vendor/htm/preact.js";

/** {submit, isBusy, complaint}: `work` is done when the form is sent, and nothing else meanwhile. */
export function useSubmit(work) {
  const [isBusy, setBusy] = useState(false);
  const [refusal, refuse] = useState(null);
  const submit = async (event) => {
    event?.preventDefault();
    setBusy(true);
    refuse(null);
    try {
      await work();
    } catch (refused) {
      refuse(refused);
    }
    setBusy(false);
  };
  return { submit, isBusy, complaint: html`<p class="note bad" role="alert">${refusal && inWords(refusal)}</p>` };
}
