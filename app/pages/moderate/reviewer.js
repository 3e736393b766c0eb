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
    const renew = el("button", { type: "button", class: "button small", id: "renew-secret" }, "Make a new secret");
    const unseen = el("div", { class: "stack", role: "alert", hidden: true },
      el("p", { class: "error" }, "This address is saved, but the answer with its secret did not arrive here. It is not shown again."), el("div", { class: "row" }, renew));
    let shownFor = null;
    let knownUrl = known.url; // whose secret was shown here or before
    const draw = (one) => {
      url.value = one.url;
      limit.value = String(one.limit_ms);
      otherwise.value = one.otherwise;
      if (one.secret) [secret.value, shownFor, knownUrl] = [one.secret, one.url, one.url];
      if (!one.url) knownUrl = "";
      show(unseen, one.url !== knownUrl);
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
      unseen,
      el("div", { class: "row end" }, save));
    const { closed } = openDialog({ title: "Reviewer", body: form, className: "small" });
    const write = (button, work) => busy(button, async () => {
      try {
        draw(await work());
        toast("Saved.", "good");
      } catch (error) {
        toastProblem(error);
      }
    });
    const wish = () => ({ url: url.value.trim(), limit_ms: Number(limit.value), otherwise: otherwise.value });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      write(save, () => put(path, wish()));
    });
    renew.addEventListener("click", () => write(renew, async () => {
      const again = wish();
      await put(path, { ...again, url: "" });
      return put(path, again);
    }));
    await closed;
  } catch (error) {
    toastProblem(error);
  }
}
