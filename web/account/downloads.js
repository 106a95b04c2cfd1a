/** Exports as files: read with the token of the session, and handed to the browser when they are whole. */

import { Refusal, download } from "../lib/api.js";
import { report } from "../components/toast.js";

const SHOWN_MS = 60_000;

/** Save an export; `month` is 2027-01, or empty for everything. */
export async function save(kind, format, month) {
  const period = month ? `&from=${month}-01T00:00:00Z&to=${after(month)}-01T00:00:00Z` : "";
  const file = await download(`/exports/${kind}?format=${format}${period}`);
  if (format === "ndjson" && !(await isWhole(file))) throw new Refusal(0, { code: "CUT_OFF", message: "the file is not whole: try again" });
  const address = URL.createObjectURL(file);
  const link = Object.assign(document.createElement("a"), { href: address, download: `${kind}${month && `-${month}`}.${format}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), SHOWN_MS);
  report(`${link.download} is downloaded`);
}

/** Whether the last line has the number of the lines before it. */
async function isWhole(file) {
  const lines = (await file.text()).trimEnd().split("\n");
  try {
    return JSON.parse(lines.at(-1)).rows === lines.length - 1;
  } catch {
    return false;
  }
}

function after(month) {
  const [year, number] = month.split("-").map(Number);
  return number === 12 ? `${year + 1}-01` : `${year}-${String(number + 1).padStart(2, "0")}`;
}
