// The cards that this person keeps to pay with: each with its end, and a button to keep it no more.

import { remove, segment } from "../shared/api.js";
import { cardName, cardUntil, loadCards } from "../shared/cards.js";
import { confirmDialog } from "../shared/dialog.js";
import { busy, el, fill } from "../shared/dom.js";
import { toast, toastProblem } from "../shared/toast.js";

function row(card, removed) {
  const name = cardName(card);
  const forget = el("button", { type: "button", class: "button small", "aria-label": `Remove ${name}` }, "Remove");
  forget.addEventListener("click", async () => {
    const sure = await confirmDialog({ title: `Remove ${name}?`, text: "It is kept no more, here and at the payment provider.", yes: "Remove it", no: "Keep it", danger: true });
    if (!sure) return;
    await busy(forget, async () => {
      try {
        await remove(`/api/saved-cards/${segment(card.id)}`);
        removed();
        toast(`${name} is removed.`, "good");
      } catch (error) {
        if (error.status === 404) removed(); // in another window
        else toastProblem(error);
      }
    });
  });
  return el("li", { class: "row between saved-card", data: { card: card.id } },
    el("span", {}, el("strong", {}, name), el("span", { class: "faint" }, ` · ${cardUntil(card)}`)), forget);
}

/** The panel; empty and out of sight for whoever keeps none. */
export async function cardsPanel() {
  const cards = await loadCards();
  const panel = el("section", { class: "panel stack", id: "cards", "aria-label": "Your cards" });
  const draw = () => {
    panel.hidden = !cards.length;
    fill(panel, el("h2", {}, "Your cards"), el("p", { class: "faint" }, "Kept at the payment provider to pay with next time. We know four digits of each."),
      el("ul", { class: "stack" }, cards.map((card) => row(card, () => {
        cards.splice(cards.indexOf(card), 1);
        draw();
      }))));
  };
  draw();
  return panel;
}
