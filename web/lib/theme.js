/** Light or dark: the system's choice, or the one made here, which is kept. */

import { Value } from "./state.js";

const KEY = "perpetua.theme";

/** null (as the system), "light" or "dark". */
export const theme = new Value(localStorage.getItem(KEY));

/** Whether the page is dark now. */
export function isDark() {
  return theme.now ? theme.now === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Change to the other one, and keep that. */
export function switchTheme() {
  const next = isDark() ? "light" : "dark";
  localStorage.setItem(KEY, next);
  document.documentElement.dataset.theme = next;
  theme.set(next);
}

/** What a colour of the style sheets is in the present theme: the canvas does not know their names. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
