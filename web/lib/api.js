/** REST: requests with the token of the session, and refusals as errors that can be read. */

import { session } from "./session.js";

const UNREACHABLE = "UNREACHABLE";
/** How long to wait before a request that could not be answered is sent again. */
export const AGAIN_MS = 2_000;

/** The exchange refused, or could not be reached. */
export class Refusal extends Error {
  constructor(status, { code, message, details = {}, requestId = null }) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.requestId = requestId;
  }
}

/** The body of the answer to a request; throws a Refusal. */
export async function call(method, path, body, headers = {}) {
  const isJson = body === undefined ? {} : { "Content-Type": "application/json" };
  const text = body === undefined ? undefined : JSON.stringify(body);
  return decoded(await accepted(path, { method, headers: { Accept: "application/json", ...isJson, ...headers }, body: text }));
}

/** A file, whole; throws a Refusal, also where it breaks off. */
export async function download(path) {
  const answer = await accepted(path, {});
  try {
    return await answer.blob();
  } catch {
    throw new Refusal(0, { code: "CUT_OFF", message: "the file is not whole: try again" });
  }
}

/** The answer to a request in the name of the session, if it is a success. A token that is refused ends the session. */
async function accepted(path, { headers, ...rest }) {
  const token = session.now?.token;
  const answer = await send(path, { ...rest, headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers } });
  if (answer.ok) return answer;
  const refusal = refusalOf(answer.status, await decoded(answer));
  const isDead = refusal.code === "UNAUTHENTICATED" && !refusal.details?.reason; // with a reason, more than the token is needed
  if (isDead && token && session.now?.token === token) session.expire();
  throw refusal;
}

/** Read a path; with a command named, not before it is in the tables. */
export function read(path, command = null) {
  return call("GET", path, undefined, command ? { "X-Wait-For-Command": command } : {});
}

/** Read a path, again while the exchange cannot answer; null where it refuses, or where nobody wants the answer any more. */
export async function readPatiently(path, isWanted) {
  while (isWanted()) {
    try {
      return await read(path);
    } catch (refusal) {
      if (!isOutage(refusal)) return null;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
  return null;
}

/** Whether a refusal says nothing about the request: the exchange cannot be reached, is busy, or a part of it is down. */
export function isOutage({ status }) {
  return status === 0 || status === 429 || status >= 500;
}

/** The refusal in the body of an answer, of REST or of the socket. */
export function refusalOf(status, body) {
  const error = body?.error ?? { code: UNREACHABLE, message: `the exchange answered ${status}` };
  return new Refusal(status, error);
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Refusal(0, { code: UNREACHABLE, message: "the exchange cannot be reached" });
  }
}

async function decoded(answer) {
  try {
    return answer.status === 204 ? null : await answer.json();
  } catch {
    return null;
  }
}
