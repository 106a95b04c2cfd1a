/** Dialogs: the browser's own, which keep the focus and close with Esc. */

import { html, useEffect, useRef } from "../vendor/htm/preact.js";
import { Button } from "./button.js";
import { useId } from "./field.js";

/** A dialog that is open as long as it is drawn; `onClose` when its user closes it. */
export function Dialog({ title, onClose, children, class: more = "" }) {
  const box = useRef(null);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    box.current.showModal();
    return () => opener?.focus?.();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const outside = (event) => event.target === box.current && onClose();
  return html`<dialog ref=${box} class=${more} aria-labelledby=${id} onCancel=${cancel} onMouseDown=${outside}>
    <div class="dialog">
      <header>
        <h2 id=${id}>${title}</h2>
        <${Button} kind="quiet" aria-label="Close" onClick=${onClose}>✕<//>
      </header>
      ${children}
    </div>
  </dialog>`;
}
