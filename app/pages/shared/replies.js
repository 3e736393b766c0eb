// What the staff say again and again: a list to pick from, which the host can write anew. Owns the dialog; sends no message.

import { get, put, segment } from "./api.js";
import { openDialog } from "./dialog.js";
import { el, fill } from "./dom.js";
import { writeLines } from "./ticker.js";
import { toastProblem } from "./toast.js";

/** Opens the list; `pick(text)` is given the chosen one. `host`: may write them. */
export async function openReplies({ show, host, pick }) {
  const path = `/api/shows/${segment(show)}/quick-replies`;
  try {
    const { replies } = await get(path);
    if (!replies.length && host) return write(path, replies);
    const list = el("ul", { class: "stack", id: "reply-rows" });
    const body = el("div", { class: "stack" }, list, host ? el("div", { class: "row end" }, el("button", { type: "button", class: "button small", id: "edit-replies", onclick: () => { dialog.close(""); write(path, replies); } }, "Edit…")) : null);
    const { dialog } = openDialog({ title: "Quick replies", body, className: "small" });
    const choose = (text) => {
      dialog.close("picked");
      pick(text);
    };
    fill(list, replies.length ? replies.map((text) => el("li", {}, el("button", { type: "button", class: "button wide reply-words", onclick: () => choose(text) }, text)))
      : el("li", { class: "faint" }, "The host has not written any yet."));
  } catch (error) {
    toastProblem(error);
  }
  return undefined;
}

function write(path, replies) {
  writeLines({
    title: "Quick replies", label: "One a line; the staff of all your shows have them", lines: replies,
    save: async (lines) => {
      try {
        return Boolean(await put(path, { replies: lines }));
      } catch (error) {
        toastProblem(error);
        return false;
      }
    },
  });
}
