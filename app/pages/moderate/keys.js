// The keyboard of the moderation page: arrows move through the rows of a list, and a letter presses the button of the
// chosen row that carries it (data-key). Owns no command; what a button does is its owner's.

import { openDialog } from "../shared/dialog.js";
import { el } from "../shared/dom.js";

const HELP = [
  ["c", "to the chat"], ["q", "to what waits"], ["k", "to the questions: a takes up, w answered, e in words, d removes"], ["l", "to the log"], ["u", "undo the chosen act of the log"], ["↑ ↓", "from one to the next"], ["x", "choose a message, for deleting several"], ["D", "delete all chosen messages"],
  ["d", "delete the message, or turn down"], ["a", "approve, or nothing wrong"], ["p", "pin the message"],
  ["t", "time its author out for 10 minutes"], ["i", "the person: warn, ban, delete all they said"], ["s", "shield up or down"], ["/", "write"], ["Esc", "out of a field, so that keys count again"], ["?", "this list"],
];

const typing = (node) => node.closest("input, textarea, select, dialog, [contenteditable]") !== null;

function help() {
  openDialog({ title: "Keys", className: "small", body: el("dl", { class: "keys" }, HELP.map(([key, word]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, word)])) });
}

const rowsOf = (list) => [...list.children].filter((row) => row.getAttribute("tabindex") === "-1" && !row.hidden);

/** Moves the focus within a list; from outside to its first or last row. */
function step(list, by) {
  const rows = rowsOf(list);
  const at = rows.indexOf(document.activeElement?.closest("li"));
  const next = at < 0 ? rows.at(by > 0 ? 0 : -1) : rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.focus();
}

/** `lists` maps a key to where it leads: a list, and at which row of it (0 the first, -1 the last); `press` maps further keys to what they do anywhere. */
export function listenToKeys({ lists, press }) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && typing(event.target) && !event.target.closest("dialog")) event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const list = event.target.closest("[data-rows]");
    const row = event.target.closest("[data-rows] > li");
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (list && event.key in moves) step(list, moves[event.key]);
    else if (event.key in lists) rowsOf(lists[event.key].list).at(lists[event.key].at)?.focus();
    else if (event.key === "?") help();
    else if (row?.querySelector(`[data-key="${CSS.escape(event.key)}"]`)) row.querySelector(`[data-key="${CSS.escape(event.key)}"]`).click();
    else if (event.key in press) press[event.key](row);
    else return;
    event.preventDefault();
  });
}
