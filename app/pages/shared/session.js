// Who is signed in, for the whole page. Owns the `#demo=` fragment, the sign-in calls and the word between windows
// of one browser: they share one cookie, so a sign-in in one changes who all of them speak for.

import { get, onStaleCsrf, post, Problem, remove, setCsrf } from "./api.js";

const DEMO_ROLES = new Set(["viewer", "host", "moderator"]);
const windows = new BroadcastChannel("hawker-session");
let session = null;
let tellOther = () => {};
let another = false; // somebody else's cookie, since another window signed in

const idOf = (one) => one?.person?.id ?? null;

function keep(fresh) {
  session = fresh;
  setCsrf(fresh.csrf);
  return fresh;
}

async function load() {
  return keep(await get("/api/session"));
}

// The token went stale: this page goes on as the same person with a new one, and never as somebody else.
async function renew() {
  const fresh = await get("/api/session");
  if (idOf(fresh) === idOf(session)) return keep(fresh);
  another = true;
  tellOther(fresh.person);
  throw new Problem({ status: 403, code: "other_person", detail: "You changed your sign-in in another window. Reload this page first." });
}

function announce(fresh) {
  windows.postMessage(fresh.person);
  return keep(fresh);
}

/** Calls `listener(person or null)` when another window of this browser has signed in as somebody else, or out. */
export function onOtherPerson(listener) {
  tellOther = listener;
  windows.onmessage = ({ data }) => {
    another = session !== null && (data?.id ?? null) !== idOf(session);
    if (another) listener(data);
  };
}

/** True once another window of this browser speaks for somebody else: what this page asks by itself rests then. */
export function isAnothers() {
  return another;
}

/** True where browsers keep the sign-in cookie and give a camera: https, or this very machine. */
export function secureEnough() {
  return window.isSecureContext;
}

function demoRole() {
  const role = new URLSearchParams(location.hash.slice(1)).get("demo");
  return DEMO_ROLES.has(role) ? role : null;
}

/** The session of this page. Signs in first when the address ends in `#demo=viewer|host|moderator`. */
export async function openSession() {
  onStaleCsrf(renew);
  // The address may be opened again in a page that is already here.
  addEventListener("hashchange", () => demoRole() && location.reload());
  const role = demoRole();
  await load();
  if (!role) return session;
  history.replaceState(null, "", location.pathname + location.search);
  if (!secureEnough()) return session;
  return signIn({ demo: role });
}

/** Signs in with `{email, password}` or `{demo}`. */
export async function signIn(credentials) {
  return announce(await post("/api/session", credentials));
}

/** Makes an account of `{name, email, password}` and signs in with it. */
export async function createAccount(account) {
  return announce(await post("/api/accounts", account));
}

/** Signs out, and leaves for the home page: nothing of the person stays on the screen. */
export async function signOut() {
  await remove("/api/session");
  windows.postMessage(null);
  location.assign("/");
}

/** The address of the sign-in page that comes back here afterwards. */
export function signInUrl() {
  return `/sign-in?next=${encodeURIComponent(location.pathname)}`;
}
