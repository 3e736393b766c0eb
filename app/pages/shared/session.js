// Who is signed in, for the whole page. Owns the `#demo=` fragment and the sign-in calls.

import { get, onStaleCsrf, post, remove, setCsrf } from "./api.js";

const DEMO_ROLES = new Set(["viewer", "host", "moderator"]);
let session = null;

function keep(fresh) {
  session = fresh;
  setCsrf(fresh.csrf);
  return fresh;
}

async function load() {
  return keep(await get("/api/session"));
}

/** True where browsers keep the sign-in cookie and give a camera: https, or this very machine. */
export function secureEnough() {
  return window.isSecureContext;
}

/** The session of this page. Signs in first when the address ends in `#demo=viewer|host|moderator`. */
export async function openSession() {
  onStaleCsrf(load);
  const role = new URLSearchParams(location.hash.slice(1)).get("demo");
  await load();
  if (!DEMO_ROLES.has(role)) return session;
  history.replaceState(null, "", location.pathname + location.search);
  if (!secureEnough()) return session;
  return signIn({ demo: role });
}

/** Signs in with `{email, password}` or `{demo}`. */
export async function signIn(credentials) {
  return keep(await post("/api/session", credentials));
}

/** Makes an account of `{name, email, password}` and signs in with it. */
export async function createAccount(account) {
  return keep(await post("/api/accounts", account));
}

/** Signs out, and leaves for the home page: nothing of the person stays on the screen. */
export async function signOut() {
  await remove("/api/session");
  location.assign("/");
}

/** The address of the sign-in page that comes back here afterwards. */
export function signInUrl() {
  return `/sign-in?next=${encodeURIComponent(location.pathname)}`;
}
