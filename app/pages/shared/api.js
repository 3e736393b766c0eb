// Speaks HTTP to Hawker: JSON in and out, the CSRF token on every write, problem documents as errors.
// Owns no session: session.js hands the token over.

/** A refusal of the server (`code` is stable) or a broken connection (`code` "offline", status 0). */
export class Problem extends Error {
  constructor({ status = 0, code = "offline", detail = "", title = "", retry_after_ms = null, ...rest }) {
    super(detail || title || "Hawker does not answer. Check your connection and try again.");
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.retryAfterMs = retry_after_ms;
    this.more = rest;
  }
}

// A dead network says nothing. What is sent anew may take as long as a payment does, a file as long as a slow line.
const PATIENCE_MS = 30_000;
const POST_PATIENCE_MS = 90_000;
const FILE_PATIENCE_MS = 300_000;
const NO_ANSWER = "Hawker has not answered for a long time.";
const AGAIN = `${NO_ANSWER} Check your connection and try again: nothing is done twice.`;
const LOOK_FIRST = `${NO_ANSWER} It may have been done all the same: look before you try again.`;
let csrfToken = null;
let renewToken = async () => {};

/** The token that proves a write comes from this origin's own page; null when signed out. */
export function setCsrf(token) {
  csrfToken = token;
}

/** The headers that a write by fetch needs beside its own, for WHIP. */
export function writeHeaders() {
  return csrfToken ? { "X-CSRF-Token": csrfToken } : {};
}

/** What to do when the token has gone stale, e.g. after a sign-in in another tab. */
export function onStaleCsrf(renew) {
  renewToken = renew;
}

/** Whether the server perhaps did, or does, what it was asked, or half of it: no answer, or one of a part that was away. */
export const isUnknown = ({ name, status, code }) => name === "Problem" && (status === 0 || status >= 500 || code === "in_progress");

/** A fresh idempotency key: one per intention of the person, the same for every retry of it. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function patienceOf(method, raw) {
  if (raw !== undefined) return FILE_PATIENCE_MS;
  return method === "POST" ? POST_PATIENCE_MS : PATIENCE_MS;
}

async function once(method, path, { body, raw, key, type }) {
  const signal = AbortSignal.timeout(patienceOf(method, raw));
  const unanswered = () => new Problem(signal.aborted ? { detail: method === "POST" && !key ? LOOK_FIRST : AGAIN } : {});
  const headers = { Accept: "application/json" };
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  if (key) headers["Idempotency-Key"] = key;
  if (raw !== undefined) headers["Content-Type"] = type;
  else if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: raw !== undefined ? raw : body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal,
    });
  } catch {
    throw unanswered();
  }
  if (answer.status === 204) return null;
  const isJson = /[/+]json/.test(answer.headers.get("Content-Type") ?? "");
  const value = isJson ? await answer.json().catch(() => undefined) : null;
  if (answer.ok && value === undefined) throw unanswered(); // it was cut on its way
  if (answer.ok) return value;
  throw new Problem({ title: `Hawker answered ${answer.status}.`, code: "http_error", ...value, status: answer.status });
}

async function call(method, path, options = {}) {
  try {
    return await once(method, path, options);
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "csrf") throw error;
    await renewToken();
    return once(method, path, options);
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body, key) => call("POST", path, { body, key });
export const put = (path, body) => call("PUT", path, { body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path);

/** Sends a file as it is. */
export const upload = (path, file) => call("POST", path, { raw: file, type: file.type || "application/octet-stream" });

/** One segment of a path from a word that may hold anything. */
export const segment = (word) => encodeURIComponent(word);
