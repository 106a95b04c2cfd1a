/** Keys of a page. They are not taken from somebody who writes in a field, nor while a dialog is open. */

const WRITING = "input, select, textarea, [contenteditable]";

/** Call `keys[key]` when that key is pressed alone; returns what ends this. */
export function onKeys(keys) {
  const press = (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.(WRITING) || document.querySelector("dialog[open]")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  };
  window.addEventListener("keydown", press);
  return () => window.removeEventListener("keydown", press);
}
