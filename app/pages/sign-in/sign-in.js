// The sign-in page: an account of one's own, or a demo person. Returns to the page that sent the person here.

import { busy, byId, el, fill, say, show } from "../shared/dom.js";
import { demoButtons } from "../shared/demo.js";
import { drawHeader } from "../shared/header.js";
import { createAccount, openSession, secureEnough, signIn } from "../shared/session.js";

/** Where to go afterwards: only to a path of this very site. */
function nextPage() {
  const asked = new URLSearchParams(location.search).get("next") ?? "/";
  const url = new URL(asked, location.origin);
  // With the origin before it: a path may begin with two slashes ("/.//elsewhere"), which alone names another site.
  return location.origin + (url.origin === location.origin ? url.pathname : "/");
}

const PASSWORD_MIN = 10;
let creating = false;

function choose(create) {
  creating = create;
  byId("choose-sign-in").setAttribute("aria-pressed", String(!create));
  byId("choose-create").setAttribute("aria-pressed", String(create));
  say(byId("form-title"), create ? "Make an account" : "Welcome back");
  say(byId("submit"), create ? "Create account" : "Sign in");
  show(byId("name-field"), create);
  byId("name").disabled = !create;
  byId("password").minLength = create ? PASSWORD_MIN : 0;
  byId("password").autocomplete = create ? "new-password" : "current-password";
  show(byId("error"), false);
}

async function submit(event) {
  event.preventDefault();
  const email = byId("email").value.trim();
  const password = byId("password").value;
  show(byId("error"), false);
  await busy(byId("submit"), async () => {
    try {
      await (creating ? createAccount({ name: byId("name").value.trim(), email, password }) : signIn({ email, password }));
      location.assign(nextPage());
    } catch (error) {
      if (error.name !== "Problem") throw error;
      say(byId("error"), error.message);
      show(byId("error"), true);
    }
  });
}

// The markup's buttons are disabled: pressed before somebody listens, they would do nothing, or send the form by itself.
for (const [id, create] of [["choose-sign-in", false], ["choose-create", true]]) {
  byId(id).addEventListener("click", () => choose(create));
  byId(id).disabled = false;
}
const session = await openSession();
drawHeader(session);
byId("form").addEventListener("submit", submit);
byId("submit").disabled = !secureEnough();
if (session.demo) {
  show(byId("demo"), true);
  fill(byId("demo"), el("h2", {}, "Or try the demo"), demoButtons(nextPage()));
}
if (document.activeElement === document.body) byId("email").focus(); // nobody has begun to type
