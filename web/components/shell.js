/** What every page has: its name and links above, who is logged in, the theme, and the reports of actions. */

import { call } from "../lib/api.js";
import { session } from "../lib/session.js";
import { useValue } from "../lib/state.js";
import { isDark, switchTheme, theme } from "../lib/theme.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";
import { Button } from "./button.js";
import { LoginDialog } from "./login.js";
import { Toasts, report, reportRefusal } from "./toast.js";

const LINKS = [
  { page: "trade", href: "/", label: "Trade" },
  { page: "account", href: "/account", label: "Account" },
  { page: "docs", href: "/docs", label: "API" },
];

/** A page: `page` is the link that is current, `tools` stand in the head, `onLogout` ends what the session needs. */
export function Shell({ page, tools, children, links = LINKS }) {
  return html`<a class="skip" href="#main">Skip to the content</a>
    <header class="top">
      <a class="brand" href="/"><span aria-hidden="true" class="mark"></span>Perpetua</a>
      <nav aria-label="Pages">
        ${links.map((link) => html`<a key=${link.page} href=${link.href} aria-current=${link.page === page ? "page" : null}>${link.label}</a>`)}
      </nav>
      <div class="tools">
        ${tools}
        <${ThemeButton} />
        <${Who} />
      </div>
    </header>
    <main id="main" tabindex="-1">${children}</main>
    <${Toasts} />`;
}

function ThemeButton() {
  useValue(theme);
  const other = isDark() ? "light" : "dark";
  return html`<${Button} kind="quiet" aria-label=${`Use the ${other} theme`} title=${`Use the ${other} theme`} onClick=${switchTheme}>
    <span aria-hidden="true" class="half-disc"></span>
  <//>`;
}

/** Who is logged in, or the buttons to do so. */
function Who() {
  const login = useValue(session);
  const [asked, ask] = useState(null);
  useEffect(() => ask(!login && session.hasExpired ? "login" : null), [login]);
  if (login) {
    return html`<span class="who" title=${`User ${login.userId}`}>${login.email}</span>
      <${Button} onClick=${logOut}>Log out<//>`;
  }
  return html`<${Button} onClick=${() => ask("login")}>Log in<//>
    <${Button} kind="primary" onClick=${() => ask("register")}>Register<//>
    ${asked && html`<${LoginDialog} mode=${asked} onClose=${() => ask(null)} />`}`;
}

/** Here first: the socket of a session that the exchange has ended would ask for another login. */
function logOut() {
  const { token } = session.now;
  session.end();
  call("POST", "/auth/logout", undefined, { Authorization: `Bearer ${token}` }).then(
    () => report("Logged out"),
    (refusal) => reportRefusal(refusal, "Logged out here; the exchange does not know yet: "),
  );
}
