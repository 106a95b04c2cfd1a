/** The sessions in force, each of which can be ended. */

import { Badge } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Time } from "../components/time.js";
import { report, reportRefusal } from "../components/toast.js";
import { call } from "../lib/api.js";
import { session } from "../lib/session.js";
import { html } from "../vendor/htm/preact.js";
import { ListTable, useList } from "./list.js";

/** The panel. */
export function SessionsPanel() {
  const list = useList("/auth/sessions");
  const end = async ({ sessionId, isCurrent }) => {
    try {
      await call("DELETE", `/auth/sessions/${sessionId}`);
      report(isCurrent ? "Logged out" : "The session has ended");
      if (isCurrent) return session.end();
    } catch (refusal) {
      reportRefusal(refusal);
    }
    return list.again();
  };
  const columns = [
    { title: "Since", cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
    { title: "Until", cell: ({ expiresAt }) => html`<${Time} at=${expiresAt} />` },
    { title: "Address", cell: ({ address }) => address },
    { title: "Program", isWide: true, cell: ({ userAgent }) => html`<span class="agent" title=${userAgent}>${userAgent || "–"}</span>` },
    { title: "", isUntitled: true, cell: (row) => html`<span class="actions">${row.isCurrent && html`<${Badge} kind="good">This one<//>`}<${Button} class="small" onClick=${() => end(row)}>End<//></span>` },
  ];
  const logOutEverywhere = async () => {
    try {
      await call("POST", "/auth/logout", { everywhere: true });
      report("Logged out everywhere");
      session.end();
    } catch (refusal) {
      reportRefusal(refusal);
    }
  };
  return html`<section class="part whole stacked" aria-labelledby="sessions-title">
    <h2 id="sessions-title">Sessions</h2>
    <p class="row"><${Button} onClick=${logOutEverywhere}>Log out everywhere<//></p>
    <${ListTable} list=${list} caption="Sessions in force" columns=${columns} keyOf=${({ sessionId }) => sessionId} empty="No sessions" />
  </section>`;
}
