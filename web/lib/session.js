/** Who is logged in. Tabs share it: it is kept under one key of this origin, until logout or until the token is refused. */

import { Value } from "./state.js";

const KEY = "perpetua.session";

class Session extends Value {
  constructor() {
    super(kept());
    /** Whether the last session ended because its token was refused. */
    this.hasExpired = false;
    window.addEventListener("storage", ({ key }) => key === KEY && this.set(kept()));
  }

  /** Keep a login: {token, userId, email}. */
  begin(login) {
    this.hasExpired = false;
    localStorage.setItem(KEY, JSON.stringify(login));
    this.set(login);
  }

  /** Forget it. */
  end() {
    localStorage.removeItem(KEY);
    this.set(null);
  }

  /** Forget it, because the exchange refuses its token. */
  expire() {
    this.hasExpired = true;
    this.end();
  }
}

function kept() {
  try {
    const login = JSON.parse(localStorage.getItem(KEY));
    return typeof login?.token === "string" ? login : null;
  } catch {
    return null;
  }
}

/** The session of this browser: null, or {token, userId, email}. */
export const session = new Session();
