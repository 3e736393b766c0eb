// Dialogs of the pages: modal, closed by Escape or a click beside them. Owns no content.

import { el } from "./dom.js";
import { icon } from "./icons.js";

/** Opens a modal dialog with a title and a body; resolves `closed` with its return value when it goes. */
export function openDialog({ title, body, className = "" }) {
  const heading = el("h2", { id: `dialog-${Math.floor(performance.now())}` }, title);
  const close = el("button", { type: "button", class: "icon-button", "aria-label": "Close" }, icon("close"));
  const dialog = el("dialog", { class: `dialog ${className}`, "aria-labelledby": heading.id },
    el("header", { class: "dialog-head" }, heading, close), el("div", { class: "dialog-body" }, body));
  close.addEventListener("click", () => dialog.close(""));
  // The second click of a double click was meant for the button that opened this, which now lies beside it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog && event.detail < 2) dialog.close("");
  });
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      rescue(dialog);
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, heading, closed };
}

// Toasts that were shown inside must outlive the dialog.
function rescue(dialog) {
  const toasts = dialog.querySelector(".toasts");
  if (toasts) document.body.append(toasts);
}

/** Asks a yes-or-no question; true when the person chose `yes`. */
export async function confirmDialog({ title, text, yes, no = "Cancel", danger = false }) {
  const confirm = el("button", { type: "button", class: danger ? "button danger" : "button primary" }, yes);
  const cancel = el("button", { type: "button", class: "button", autofocus: true }, no);
  const body = el("div", { class: "stack" }, el("p", {}, text), el("div", { class: "row end" }, cancel, confirm));
  const { dialog, closed } = openDialog({ title, body, className: "small" });
  cancel.addEventListener("click", () => dialog.close("no"));
  confirm.addEventListener("click", () => dialog.close("yes"));
  return (await closed) === "yes";
}
