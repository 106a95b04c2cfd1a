/** Accounts: found by id or e-mail, shown with everything in them, and acted on. */

import { Badge } from "../components/badge.js";
import { Button } from "../components/button.js";
import { Check, Field } from "../components/field.js";
import { Table } from "../components/table.js";
import { Time } from "../components/time.js";
import { read } from "../lib/api.js";
import { inWords } from "../lib/refusals.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { AccountDetail } from "./account_detail.js";
import { FrozenBadge } from "./frozen_badge.js";

const WAIT_MS = 250;
const COLUMNS = [
  { title: "User", cell: ({ userId }) => html`<a href=${`#accounts/${userId}`}>${userId}</a>` },
  { title: "E-mail", cell: ({ email }) => html`<span class="wrap">${email}</span>` },
  { title: "Role", cell: ({ role }) => (role === "admin" ? html`<${Badge}>administrator<//>` : "user") },
  { title: "State", cell: ({ frozenAt }) => html`<${FrozenBadge} at=${frozenAt} />` },
  { title: "Registered", cell: ({ createdAt }) => html`<${Time} at=${createdAt} />` },
];

/** The search, or one account. */
export function AccountsPanel({ chosen }) {
  return chosen ? html`<${AccountDetail} key=${chosen} userId=${chosen} />` : html`<${Search} />`;
}

function Search() {
  const [search, setSearch] = useState("");
  const [isFrozen, setFrozen] = useState(false);
  const [found, setFound] = useState({ rows: null, refusal: null });
  useEffect(() => {
    let isOver = false;
    const timer = setTimeout(async () => {
      const query = new URLSearchParams({ limit: "50", ...(search.trim() ? { search: search.trim() } : {}), ...(isFrozen ? { frozen: "true" } : {}) });
      try {
        const { data } = await read(`/admin/users?${query}`);
        if (!isOver) setFound({ rows: data, refusal: null });
      } catch (refusal) {
        if (!isOver) setFound({ rows: null, refusal });
      }
    }, WAIT_MS);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [search, isFrozen]);
  const open = (event) => {
    event.preventDefault();
    if (found.rows?.length === 1) location.hash = `accounts/${found.rows[0].userId}`;
  };
  const empty = found.refusal ? inWords(found.refusal) : found.rows ? "No such user" : "Reading";
  return html`<section class="panel" aria-label="Accounts">
    <form class="search" role="search" onSubmit=${open}>
      <${Field} label="User id, or the beginning of an e-mail address" type="search" maxlength="256" value=${search} onInput=${setSearch} />
      <${Check} label="Frozen only" checked=${isFrozen} onChange=${setFrozen} />
      <${Button} type="submit">Show<//>
    </form>
    <${Table} caption="Users" columns=${COLUMNS} rows=${found.rows ?? []} keyOf=${({ userId }) => userId} empty=${empty} />
  </section>`;
}
