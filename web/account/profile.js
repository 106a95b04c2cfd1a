/** The user of the session as the exchange knows them now. */

import { read } from "../lib/api.js";
import { session } from "../lib/session.js";
import { Value } from "../lib/state.js";
import { reportRefusal } from "../components/toast.js";

/** null, or the body of GET /me. */
export const profile = new Value(null);

/** Read it again. */
export async function readProfile() {
  if (!session.now) return profile.set(null);
  try {
    profile.set(await read("/me"));
  } catch (refusal) {
    reportRefusal(refusal);
  }
  return undefined;
}
