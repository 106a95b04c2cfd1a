/** Lists of the account, page by page. */

import { Button } from "../components/button.js";
import { Table } from "../components/table.js";
import { read } from "../lib/api.js";
import { inWords } from "../lib/refusals.js";
import { html, useEffect, useState } from "../vendor/htm/preact.js";

const EMPTY = { rows: [], cursor: null, refusal: null, isReading: true };

/** The list at a path: {rows, cursor, refusal, isReading}, and what reads it again or reads on. */
export function useList(path) {
  const [state, set] = useState(EMPTY);
  const load = async (cursor) => {
    try {
      const page = await read(`${path}?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      set((before) => ({ rows: cursor ? [...before.rows, ...page.data] : page.data, cursor: page.nextCursor, refusal: null, isReading: false }));
    } catch (refusal) {
      set((before) => ({ ...before, refusal, isReading: false }));
    }
  };
  useEffect(() => void load(null), [path]);
  return { ...state, again: () => load(null), more: () => load(state.cursor) };
}

/** A table of such a list. */
export function ListTable({ list, empty, ...rest }) {
  const after = list.cursor && html`<p class="below"><${Button} class="small" onClick=${list.more}>Show more<//></p>`;
  const said = list.refusal ? inWords(list.refusal) : list.isReading ? "Reading" : empty;
  return html`<${Table} rows=${list.rows} empty=${said} after=${after} ...${rest} />`;
}
