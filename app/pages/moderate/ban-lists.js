// Lists of bans between shops, for the host: offering one's own by its code, taking over another's, leaving it again.
// Owns the dialog.

import { get, post, put, remove, segment } from "../shared/api.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, fill } from "../shared/dom.js";
import { toastProblem } from "../shared/toast.js";

/** Opens the dialog for the shop of this show. */
export async function openBanLists(show) {
  const path = `/api/shows/${segment(show)}/ban-lists`;
  const body = el("div", { class: "stack" });
  const change = (button, work) => busy(button, async () => {
    try {
      draw(await work());
    } catch (error) {
      toastProblem(error);
    }
  });
  const press = (id, word, work, danger = false, name = null) => {
    const button = el("button", { type: "button", id, class: `button small${danger ? " danger" : ""}`, "aria-label": name }, word);
    button.addEventListener("click", () => change(button, work));
    return button;
  };
  const own = ({ code, takers }) => (code === null
    ? [el("p", { class: "soft" }, "Other shops can take over whom you banned from all your shows."), press("share-list", "Share our list", () => put(path, { shared: true }))]
    : [el("p", { class: "soft" }, `Who has this code can take it over; ${["no shop has", "one shop has"][takers] ?? `${takers} shops have`}.`),
      el("input", { class: "input", id: "list-code", readonly: true, "aria-label": "Code of our list", value: code, onfocus: (event) => event.target.select() }),
      press("withdraw-list", "Share it no more", () => put(path, { shared: false }), true)]);
  const row = (one) => el("li", { class: "row between" }, el("span", {}, el("strong", {}, one.name), ` keeps ${one.bans} out`),
    press(`leave-${one.shop}`, "Leave", () => remove(`${path}/taken/${segment(one.shop)}`), true, `Leave the list of ${one.name}`));
  const draw = (lists) => {
    const held = body.contains(document.activeElement);
    const code = el("input", { class: "input", id: "take-code", required: true, maxlength: "100", autocomplete: "off" });
    const take = el("button", { type: "submit", class: "button primary" }, "Take over");
    const form = el("form", { class: "stack", id: "take-list" }, el("label", { class: "field" }, el("span", {}, "Code of another shop's list"), code), el("div", { class: "row end" }, take));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      change(take, () => post(`${path}/taken`, { code: code.value.trim() }));
    });
    fill(body, el("h3", {}, "Ours"), own(lists), el("h3", {}, "Taken over"),
      el("ul", { class: "stack", id: "taken-lists" }, lists.taken.length ? lists.taken.map(row) : el("li", { class: "faint" }, "None.")), form);
    if (held) body.querySelector("button").focus();
  };
  try {
    draw(await get(path));
    await openDialog({ title: "Lists of bans", body, className: "small" }).closed;
  } catch (error) {
    toastProblem(error);
  }
}
