/** Lists of REST, page by page, read again when something of the account has changed. */

import { AGAIN_MS, isOutage, read } from "../lib/api.js";
import { useValue } from "../lib/state.js";
import { useEffect, useRef, useState } from "../vendor/htm/preact.js";
import { changes } from "./account_feed.js";

const LIMIT = 50;
const SETTLE_MS = 400;
const TRIES = 5;
const EMPTY = { rows: [], cursor: null, isReading: true, refusal: null };

/** The rows of a list so far, newest first: {rows, hasMore, isReading, refusal, more}. A path of null lists nothing. */
export function usePages(path) {
  const changed = useValue(changes);
  const [state, setState] = useState(EMPTY);
  const asked = useRef(0);
  const seen = useRef(changed);
  const load = async (cursor, count, command = null) => {
    const number = (asked.current += 1);
    try {
      const page = await readWhenThere(`${path}&limit=${count}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, command);
      if (number !== asked.current) return;
      setState((before) => ({ rows: cursor ? [...before.rows, ...page.data] : page.data, cursor: page.nextCursor, isReading: false, refusal: null }));
    } catch (refusal) {
      if (number !== asked.current) return;
      setState((before) => ({ ...before, isReading: false, refusal }));
      if (isOutage(refusal)) setTimeout(() => number === asked.current && load(cursor, count, command), AGAIN_MS);
    }
  };
  useEffect(() => {
    asked.current += 1;
    if (!path) return setState({ ...EMPTY, isReading: false });
    setState(EMPTY);
    load(null, LIMIT, changed.command);
    return () => (asked.current += 1);
  }, [path]);
  useEffect(() => {
    if (!path || seen.current === changed) return undefined;
    seen.current = changed;
    const timer = setTimeout(() => load(null, Math.min(500, Math.max(LIMIT, state.rows.length)), changed.command), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [changed]);
  return { rows: state.rows, hasMore: Boolean(state.cursor), isReading: state.isReading, refusal: state.refusal, more: () => load(state.cursor, LIMIT) };
}

/** The tables follow the socket: ask again while they do not have the command yet. */
async function readWhenThere(path, command) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await read(path, command);
    } catch (refusal) {
      if (refusal.code !== "NOT_YET" || tries === TRIES) throw refusal;
    }
  }
}
