// Short messages at the edge of the window. Says them to screen readers too; never holds a question.

import { el } from "./dom.js";

const SHOWN_MS = 6000;
const SHOWN_MAX = 4;
let list = null;

/** Shows `text`; `kind` is "info", "good" or "bad". */
export function toast(text, kind = "info") {
  if (!list) {
    list = el("ol", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(list);
  }
  // A dialog in the top layer would cover the list: it moves into the one that is open.
  const open = [...document.querySelectorAll("dialog[open]")].at(-1);
  const home = open ?? document.body;
  if (list.parentNode !== home) home.append(list);
  const item = el("li", { class: `toast ${kind}` }, text);
  list.append(item);
  while (list.children.length > SHOWN_MAX) list.firstChild.remove();
  setTimeout(() => item.remove(), SHOWN_MS);
}

/** Shows what went wrong, in the server's words. */
export function toastProblem(error) {
  toast(error.message, "bad");
  if (error.name !== "Problem") throw error;
}

/** The answer to a room's command; null, and why it was refused is shown, when it was. */
export async function commandOrToast(room, op, body) {
  try {
    return await room.command(op, body);
  } catch (error) {
    toast(error.message, "bad");
    if (!error.code) throw error;
    return null;
  }
}
