/** Whether the session may operate: the exchange looks the role up at each request, the page asks once. */

import { AGAIN_MS, isOutage, read } from "../lib/api.js";
import { session } from "../lib/session.js";
import { Value } from "../lib/state.js";

/** null while it is not known, else {role, refusal}. */
export const role = new Value(null);

/** Ask now, and whenever the login changes. */
export function watchRole() {
  const askAgain = () => {
    role.set(null);
    askRole();
  };
  askAgain();
  session.watch(askAgain);
}

/** Ask again, as when the exchange has refused something. */
export async function askRole() {
  const login = session.now;
  if (!login) return;
  try {
    const me = await read("/me");
    if (session.now === login) role.set({ role: me.role, refusal: null });
  } catch (refusal) {
    if (session.now !== login) return;
    role.set({ role: null, refusal });
    if (isOutage(refusal)) setTimeout(() => session.now === login && askRole(), AGAIN_MS);
  }
}
