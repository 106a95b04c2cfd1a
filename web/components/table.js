/** Tables with a fixed head; where there is nothing to list they say so. */

import { html } from "../vendor/htm/preact.js";

/**
 * Rows under columns [{title, cell, isNumber?}]. `keyOf` names a row. On a narrow screen each row is a block, in which every cell
 * has the title of its column; the roles are written out because a table that is laid out otherwise may lose them.
 */
export function Table({ caption, columns, rows, keyOf, empty, after, rowClass = () => "" }) {
  if (!rows.length) return html`<p class="empty">${empty}</p>${after}`;
  return html`<table class="list" role="table">
      <caption class="unseen">${caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          ${columns.map((column) => html`<th key=${column.title} role="columnheader" scope="col" class=${kindOf(column)}>${column.isUntitled ? html`<span class="unseen">${column.title}</span>` : column.title}</th>`)}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${rows.map(
          (row) => html`<tr key=${keyOf(row)} role="row" class=${rowClass(row)}>
            ${columns.map((column) => html`<td key=${column.title} role="cell" data-title=${column.isUntitled ? null : column.title} class=${kindOf(column)}>${column.cell(row)}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
    ${after}`;
}

function kindOf({ isNumber, isWide }) {
  return `${isNumber ? "number" : ""} ${isWide ? "wide" : ""}`;
}
