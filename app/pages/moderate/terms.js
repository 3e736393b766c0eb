// Dialogs that ask for words: the lists of blocked and permitted terms and of sites, and one line of text. Keep what was typed when
// the server refuses it.

import { openDialog } from "../shared/dialog.js";
import { busy, el } from "../shared/dom.js";

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** Edits the lists; resolves when the dialog is gone. */
export async function editTerms(terms, send) {
  const blocked = el("textarea", { class: "input", id: "terms-blocked", rows: "9", autofocus: true });
  const permitted = el("textarea", { class: "input", id: "terms-permitted", rows: "4" });
  const sites = el("textarea", { class: "input", id: "terms-sites", rows: "3", placeholder: "example.org" });
  sites.value = terms.sites.join("\n");
  blocked.value = terms.blocked.join("\n");
  permitted.value = terms.permitted.join("\n");
  const save = el("button", { type: "submit", class: "button primary", id: "save-terms" }, "Save");
  const form = el("form", { class: "stack" },
    el("p", { class: "soft" }, "One a line. * stands for any letters: scam*. Messages with a blocked term wait for you."),
    el("label", { class: "field" }, el("span", {}, "Blocked"), blocked),
    el("label", { class: "field" }, el("span", {}, "Permitted, also where a blocked term is inside"), permitted),
    el("label", { class: "field" }, el("span", {}, "Sites that may be named while links are off"), sites),
    el("div", { class: "row end" }, save));
  const { dialog, closed } = openDialog({ title: "Terms", body: form });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(save, async () => {
      if (await send("terms.set", { blocked: lines(blocked.value), permitted: lines(permitted.value), sites: lines(sites.value) })) dialog.close("saved");
    });
  });
  await closed;
}

/** Asks for one text; null when the person changed their mind. */
export async function askText({ title, label, yes, required = true, max = 200, danger = false }) {
  const input = el("input", { class: "input", id: "asked", maxlength: String(max), autocomplete: "off", autofocus: true, ...(required ? { required: true } : {}) });
  const form = el("form", { class: "stack", method: "dialog" }, el("label", { class: "field" }, el("span", {}, label), input),
    el("div", { class: "row end" }, el("button", { type: "submit", class: `button ${danger ? "danger" : "primary"}`, value: "yes" }, yes)));
  const { dialog, closed } = openDialog({ title, body: form, className: "small" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close("yes");
  });
  return (await closed) === "yes" ? input.value.trim() : null;
}
