// Whom the shop asks outside about messages, for the host: the dialog.

import { get, put, segment } from "../shared/api.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, show } from "../shared/dom.js";
import { toast, toastProblem } from "../shared/toast.js";

const OTHERWISE = { hold: "it waits for a moderator", say: "it is said", refuse: "it is refused" };

/** Opens the dialog for the shop of this show. */
export async function openReviewer(showId) {
  const path = `/api/shows/${segment(showId)}/reviewer`;
  try {
    const known = await get(path);
    const url = el("input", { class: "input", id: "reviewer-url", type: "url", maxlength: "2048", autofocus: true });
    const limit = el("input", { class: "input", id: "reviewer-limit", type: "number", min: "100", max: "3000", step: "100", required: true });
    const otherwise = el("select", { class: "input", id: "reviewer-otherwise" }, Object.entries(OTHERWISE).map(([value, word]) => el("option", { value }, word)));
    const secret = el("input", { class: "input", id: "reviewer-secret", readonly: true, onfocus: (event) => event.target.select() });
    const signed = el("label", { class: "field" }, el("span", {}, "Signed with. This is shown once: keep it where the questions are read"), secret);
    let shownFor = null;
    const draw = (one) => {
      url.value = one.url;
      limit.value = String(one.limit_ms);
      otherwise.value = one.otherwise;
      if (one.secret) [secret.value, shownFor] = [one.secret, one.url];
      show(signed, shownFor !== null && shownFor === one.url);
    };
    draw(known);
    const save = el("button", { type: "submit", class: "button primary", id: "save-reviewer" }, "Save");
    const form = el("form", { class: "stack" },
      el("p", { class: "soft" }, "Each message that would be said is sent there first. The answer's status decides: 200 says it, 202 holds it, 403 refuses it. Without an address nobody is asked. Each new address has a new secret that the questions are signed with; to have another, save without an address first."),
      el("label", { class: "field" }, el("span", {}, "Address"), url),
      el("label", { class: "field" }, el("span", {}, "Wait for the answer, in ms"), limit),
      el("label", { class: "field" }, el("span", {}, "When none comes"), otherwise),
      signed,
      el("div", { class: "row end" }, save));
    const { closed } = openDialog({ title: "Reviewer", body: form, className: "small" });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(save, async () => {
        try {
          draw(await put(path, { url: url.value.trim(), limit_ms: Number(limit.value), otherwise: otherwise.value }));
          toast("Saved.", "good");
        } catch (error) {
          toastProblem(error);
        }
      });
    });
    await closed;
  } catch (error) {
    toastProblem(error);
  }
}
