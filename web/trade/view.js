/** Which panel a narrow screen shows. */

import { Value } from "../lib/state.js";

/** "chart", "book", "trades" or "order". */
export const view = new Value("chart");

/** The choices. */
export const VIEWS = [
  { value: "chart", label: "Chart" },
  { value: "book", label: "Book" },
  { value: "trades", label: "Trades" },
  { value: "order", label: "Order" },
];
