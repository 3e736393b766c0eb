// What a banned person sees: that they are, and the one question that they may ask the staff about it, with its answer.

import { get, put, segment } from "../shared/api.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { toastProblem } from "../shared/toast.js";

const LOOK_MS = 20_000; // whoever is banned hears nothing of the room
const STATES = { open: "You have asked to be let back. The moderators have not answered yet.", declined: "The moderators have answered: you stay out of this show." };

/** The page in the place of the show. `signedIn`: may ask. */
export function bannedPage(showId, signedIn) {
  const path = `/api/shows/${segment(showId)}/unban-request`;
  const asking = el("div", { class: "stack", id: "unban" });
  const why = el("blockquote", { id: "ban-reason", hidden: true });
  const look = () => get(path).then(draw);
  const lookLater = () => setTimeout(() => look().catch((error) => {
    if (!error.code) throw error;
    lookLater();
  }), LOOK_MS);
  const draw = ({ banned, state, answer, reason }) => {
    say(why, reason ?? "");
    show(why, Boolean(reason));
    if (banned && state === "open") lookLater();
    if (!banned) return fill(asking, el("p", {}, "You may come back. ", el("button", { type: "button", class: "button small primary", id: "come-back", onclick: () => location.reload() }, "Back to the show")));
    if (state !== "none") return fill(asking, el("p", { class: "soft" }, STATES[state]), answer ? el("blockquote", {}, answer) : null);
    const text = el("textarea", { class: "input", id: "unban-text", rows: "3", required: true, maxlength: "500", "aria-label": "Why should you be let back?" });
    const ask = el("button", { type: "submit", class: "button", id: "ask-back" }, "Ask to be let back");
    const form = el("form", { class: "stack" }, el("p", { class: "soft" }, "You can ask the moderators once."), text, el("div", { class: "row" }, ask));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(ask, async () => {
        try {
          draw(await put(path, { text: text.value }));
        } catch (error) {
          toastProblem(error);
        }
      });
    });
    return fill(asking, form);
  };
  if (signedIn) look().catch(toastProblem);
  return el("div", { class: "page stack", id: "banned" }, el("h1", {}, "You are banned from this show"),
    el("p", { class: "soft" }, "Its moderators have decided that. Other shows may still welcome you."), why, asking, el("p", {}, el("a", { class: "button", href: "/" }, "To all shows")));
}
