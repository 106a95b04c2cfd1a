/** The one connection of the page. */

import { Live } from "../lib/live.js";

/** The socket. */
export const live = new Live();
