// How strictly kinds of words are looked for, and in which languages: the dialog. Shows what the server says.

import { openDialog } from "../shared/dialog.js";
import { busy, el } from "../shared/dom.js";

const KINDS = { harassment: "Harassment", profanity: "Profanity", sexual: "Sexual words", spam: "Spam" };
const LEVELS = ["0: nothing is looked for", "1: the worst alone", "2: what is bad", "3: what is rude", "4: as little as possible"];
const LANGUAGES = { en: "English", de: "German", es: "Spanish", fr: "French" };

/** Edits the levels of these modes; resolves when the dialog is gone. */
export async function editLevels({ levels, languages }, send) {
  const choices = Object.entries(KINDS).map(([kind, word]) => {
    const select = el("select", { class: "input small", id: `level-${kind}`, data: { kind } },
      LEVELS.map((text, n) => el("option", { value: String(n) }, text)));
    select.value = String(levels[kind]);
    return el("label", { class: "row between" }, el("span", {}, word), select);
  });
  const boxes = Object.entries(LANGUAGES).map(([code, word]) => {
    const box = el("input", { type: "checkbox", id: `language-${code}`, value: code, checked: languages.includes(code) });
    box.checked = languages.includes(code);
    return el("label", { class: "row" }, box, el("span", {}, word));
  });
  const save = el("button", { type: "submit", class: "button primary", id: "save-levels" }, "Save");
  const form = el("form", { class: "stack" },
    el("p", { class: "soft" }, "Messages with such words wait for you, as those with a blocked term do; what you permit there is permitted here."),
    choices, el("fieldset", { class: "stack", id: "languages" }, el("legend", {}, "Spoken here"), el("div", { class: "row" }, boxes)), el("div", { class: "row end" }, save));
  const { dialog, closed } = openDialog({ title: "Levels", body: form, className: "small" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll("#languages input")].filter((box) => box.checked).map((box) => box.value);
    const wanted = Object.fromEntries([...form.querySelectorAll("select")].map((select) => [select.dataset.kind, Number(select.value)]));
    busy(save, async () => {
      if (await send("modes.set", { levels: wanted, languages: chosen })) dialog.close("saved");
    });
  });
  await closed;
}
