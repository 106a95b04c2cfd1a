/** Values that components show. A change draws the components that use it, at most once a frame. */

import { useEffect, useReducer } from "../vendor/htm/preact.js";

const HIDDEN_MS = 500;
const waiting = new Set();
let isScheduled = false;

/** A value that can be watched. */
export class Value {
  #now;
  #watchers = new Set();
  /** How many times it has changed. */
  changes = 0;

  constructor(initial) {
    this.#now = initial;
  }

  /** The value now. */
  get now() {
    return this.#now;
  }

  /** Replace it; the same value again changes nothing. */
  set(next) {
    if (Object.is(next, this.#now)) return;
    this.#now = next;
    this.touch();
  }

  /** Report a change inside the value. */
  touch() {
    this.changes += 1;
    for (const watcher of [...this.#watchers]) watcher(this.#now);
  }

  /** Call `watcher` at each change; returns what ends this. */
  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}

/** The value now, in a component, which is drawn again when it changes. */
export function useValue(value) {
  const [, draw] = useReducer((count) => count + 1, 0);
  const drawn = value.changes;
  useEffect(() => {
    const end = value.watch(() => schedule(draw));
    if (value.changes !== drawn) schedule(draw); // it has changed after it was drawn and before it was watched
    return () => {
      end();
      waiting.delete(draw);
    };
  }, [value]);
  return value.now;
}

function schedule(draw) {
  waiting.add(draw);
  if (isScheduled) return;
  isScheduled = true;
  if (document.hidden) setTimeout(drawAll, HIDDEN_MS);
  else requestAnimationFrame(drawAll);
}

function drawAll() {
  isScheduled = false;
  const due = [...waiting];
  waiting.clear();
  for (const draw of due) draw();
}
