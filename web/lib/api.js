/** REST: requests with the token of the session, and refusals as errors that can be read. */

import { session } from "./session.js";

const UNREACHABLE = "UNREACHABLE";

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
  const token = session.now?.token;
  const answer = await send(path, {
    method,
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = await decoded(answer);
  if (answer.ok) return said;
  const refusal = refusalOf(answer.status, said);
  if (refusal.code === "UNAUTHENTICATED" && token && session.now?.token === token) session.expire();
  throw refusal;
}

/** Read a path; with a command named, not before it is in the tables. */
export function read(path, command = null) {
  return call("GET", path, undefined, command ? { "X-Wait-For-Command": command } : {});
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
