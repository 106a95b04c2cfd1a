/** What an operator does to an account; each names what happens before it is done. */

import { Segmented } from "../components/button.js";
import { DecimalField } from "../components/field.js";
import { call } from "../lib/api.js";
import { decimal } from "../lib/decimal.js";
import { exact, fixed } from "../lib/format.js";
import { newId } from "../lib/ids.js";
import { html, useState } from "../vendor/htm/preact.js";
import { ActDialog } from "./act_dialog.js";

const PLACES = 6;
const SIGNS = [
  { value: "", label: "Give" },
  { value: "-", label: "Take" },
];

const ACTS = {
  freeze: {
    label: "Freeze",
    isDangerous: true,
    what: ({ openOrders }) => [
      "The account may only reduce its positions from now on, and withdraws nothing.",
      `Of its ${openOrders} open orders, those that could open a position are cancelled; closes, take-profits and stops stay.`,
      "Cancels, closes and deposits work. Liquidation goes on as for any account.",
    ],
    done: (user, { after }) => `User ${user} is frozen; ${after.cancelledOrders.length} orders are being cancelled`,
  },
  unfreeze: {
    label: "Unfreeze",
    what: () => ["The account trades and withdraws again, as far as its margin allows."],
    done: (user) => `User ${user} is not frozen any more`,
  },
  "end-sessions": {
    label: "End sessions",
    isDangerous: true,
    what: () => ["Every login of the user ends at once, with its token and its sockets; the user may log in again. API keys go on."],
    done: (user, { before }) => `${before.sessions.length} sessions of user ${user} are ended`,
  },
  "remove-totp": {
    label: "Remove TOTP",
    isDangerous: true,
    what: () => ["The user logs in and withdraws without a second factor from now on, until they enrol again."],
    done: (user) => `User ${user} has no second factor any more`,
  },
  "revoke-keys": {
    label: "Revoke API keys",
    isDangerous: true,
    what: ({ activeKeys }) => [`Its ${activeKeys} active API keys stop working within a second, for good. Logins are not concerned.`],
    done: (user, { before }) => `${before.activeKeys.length} API keys of user ${user} are revoked`,
  },
  "revoke-admin": {
    label: "Revoke administrator",
    isDangerous: true,
    what: () => ["The user is an ordinary one from the next request on. The last administrator stays one."],
    done: (user) => `User ${user} is not an administrator any more`,
  },
};

/** The acts that fit an account as it is. */
export function accountActs({ user, activeKeys }) {
  const kinds = [user.frozenAt ? "unfreeze" : "freeze", "end-sessions", "remove-totp", ...(activeKeys ? ["revoke-keys"] : []), ...(user.role === "admin" ? ["revoke-admin"] : [])];
  return [...kinds.map((kind) => ({ kind, ...ACTS[kind] })), { kind: "correct", label: "Correct balance" }];
}

/** The confirmation of one of them. */
export function AccountActDialog({ kind, account, onDone, onClose }) {
  if (kind === "correct") return html`<${CorrectionDialog} account=${account} onDone=${onDone} onClose=${onClose} />`;
  const { label, what, done, isDangerous } = ACTS[kind];
  const { userId, email } = account.user;
  const act = async (reason) => {
    const said = await call("POST", `/admin/users/${userId}/${kind}`, { reason });
    onDone();
    return done(userId, said);
  };
  return html`<${ActDialog} title=${`${label}: user ${userId}`} what=${[email, ...what(account)]} verb=${label} isDangerous=${isDangerous} act=${act} onClose=${onClose} />`;
}

function CorrectionDialog({ account: { user, balance }, onDone, onClose }) {
  const [sign, setSign] = useState("");
  const [amount, setAmount] = useState("");
  const [key] = useState(newId);
  const size = decimal(amount);
  const isReady = size !== null && size > 0n;
  const what = [
    user.email,
    `Its wallet has ${fixed(balance.total, PLACES)} ${balance.asset}. The amount is posted against the house account external, and the entry is one of the user's ledger.`,
    "What margin needs cannot be taken.",
  ];
  const act = async (reason) => {
    const body = { asset: balance.asset, amount: `${sign}${amount}`, reason };
    const { before, after } = await call("POST", `/admin/users/${user.userId}/corrections`, body, { "Idempotency-Key": key });
    onDone();
    return `The wallet of user ${user.userId} was ${exact(before.total)}, and is ${exact(after.total)} ${balance.asset}`;
  };
  const verb = isReady ? `${sign ? "Take" : "Give"} ${exact(amount)} ${balance.asset}` : "Correct";
  return html`<${ActDialog} title=${`Correct the balance of user ${user.userId}`} what=${what} verb=${verb} isDangerous isReady=${isReady} act=${act} onClose=${onClose}>
    <${Segmented} label="Direction" options=${SIGNS} value=${sign} onChange=${setSign} />
    <${DecimalField} label="Amount" unit=${balance.asset} value=${amount} onInput=${setAmount} error=${amount && !isReady ? "A number above zero" : undefined} />
  <//>`;
}
