// The line-up: what is in the show and in which order, what is pinned, and the shop's other products.
// Reorders by buttons and by dragging; the server's answer is always what is drawn last.

import { get, put, remove, segment } from "../shared/api.js";
import { serverNow } from "../shared/clock.js";
import { busy, el, fill, say } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { money } from "../shared/money.js";
import { photo } from "../shared/offer-card.js";
import { offersOf } from "../shared/offers.js";
import { Reading } from "../shared/reading.js";
import { toastProblem } from "../shared/toast.js";
import { openProductForm } from "./product-form.js";
import { openSaleForm } from "./sale-form.js";

export class LineUpDesk {
  /** `change(act)` takes an act that is answered with the show, or what it changed of it; `reload()` fetches it afresh. */
  constructor(host, { show, state, change, reload }) {
    Object.assign(this, { show, state, change, reload });
    this.reading = new Reading({
      read: () => get(`/api/products?shop=${encodeURIComponent(this.show.shop.id)}`),
      load: ({ products }) => {
        this.shelf = products;
        this.drawOthers();
      },
    });
    this.pinned = show.pinned;
    this.shelf = [];
    this.list = el("ol", { class: "desk-rows", id: "lineup-rows" });
    this.others = el("ul", { class: "desk-rows" });
    this.othersTitle = el("summary", {});
    const add = el("button", { type: "button", class: "button small", id: "new-product" }, icon("plus"), "New product");
    add.addEventListener("click", () => this.edit(null));
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Line-up"), add), this.list,
      el("details", { class: "others" }, this.othersTitle, this.others));
    this.draw();
  }

  load() {
    return this.reading.refresh();
  }

  take(show) {
    const same = show.lineup === this.show.lineup;
    this.show = show;
    if (same) return this.setPinned(show.pinned);
    this.pinned = show.pinned;
    return this.draw();
  }

  setPinned(productId) {
    if (this.pinned === productId) return;
    this.pinned = productId;
    for (const row of this.list.children) this.markPinned(row);
  }

  draw() {
    const focused = document.activeElement?.dataset?.does;
    const focusedRow = document.activeElement?.closest?.("[data-product]")?.dataset.product;
    fill(this.list, this.show.lineup.length ? this.show.lineup.map((product, at) => this.row(product, at))
      : el("li", { class: "empty" }, "Nothing yet. Add products below, or make a new one."));
    this.drawOthers();
    this.update(serverNow());
    // Moving a row draws it anew: the keyboard stays on the button that moved it.
    if (focused && focusedRow) this.list.querySelector(`[data-product="${CSS.escape(focusedRow)}"] [data-does="${focused}"]`)?.focus();
  }

  drawOthers() {
    const inShow = new Set(this.show.lineup.map((product) => product.id));
    const others = this.shelf.filter((product) => !inShow.has(product.id));
    say(this.othersTitle, `Not in this show (${others.length})`);
    fill(this.others, others.map((product) => el("li", { class: "desk-row", data: { product: product.id } },
      photo(product, "thumb"), el("span", { class: "grow" }, el("h3", {}, product.title)),
      this.tool("edit", `Edit ${product.title}`, () => this.edit(product)),
      this.tool("plus", `Put ${product.title} in the show`, () => this.save((ids) => [...ids, product.id]), "add"))));
  }

  ids() {
    return this.show.lineup.map((product) => product.id);
  }

  tool(symbol, label, work, does = symbol) {
    const button = el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, data: { does } }, icon(symbol));
    button.addEventListener("click", () => busy(button, work));
    return button;
  }

  row(product, at) {
    const last = this.show.lineup.length - 1;
    const up = this.tool("arrowUp", `Move ${product.title} up`, () => this.move(product, at - 1));
    const down = this.tool("arrowDown", `Move ${product.title} down`, () => this.move(product, at + 1));
    up.disabled = at === 0;
    down.disabled = at === last;
    const pin = el("button", { type: "button", class: "button small pin", data: { does: "pin" } });
    pin.addEventListener("click", () => busy(pin, () => this.pin(product)));
    const sale = el("button", { type: "button", class: "button small", data: { does: "sale" }, disabled: !product.variants.length }, icon("bolt"), "Sale");
    sale.addEventListener("click", () => openSaleForm(this.show, product, this.state));
    const row = el("li", { class: "desk-row", draggable: "true", data: { product: product.id } },
      el("span", { class: "grip", "aria-hidden": "true" }, icon("grip")), photo(product, "thumb"),
      el("span", { class: "grow" }, el("h3", {}, product.title), el("span", { class: "row-facts faint numbers" })),
      el("span", { class: "row-tools" }, pin, sale, up, down,
        this.tool("edit", `Edit ${product.title}`, () => this.edit(product)),
        this.tool("close", `Take ${product.title} out of the show`, () => this.save((ids) => ids.filter((id) => id !== product.id)))));
    this.markPinned(row);
    this.wireDrag(row, product, at);
    return row;
  }

  markPinned(row) {
    const button = row.querySelector(".pin");
    if (!button) return;
    const pinned = row.dataset.product === this.pinned;
    row.classList.toggle("is-pinned", pinned);
    button.classList.toggle("sale", pinned);
    button.setAttribute("aria-pressed", String(pinned));
    fill(button, icon("pin"), pinned ? "Unpin" : "Pin");
  }

  wireDrag(row, product, at) {
    row.addEventListener("dragstart", (event) => {
      this.dragged = product;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", row.dataset.product);
      row.classList.add("dragged");
    });
    row.addEventListener("dragend", () => {
      this.dragged = null;
      row.classList.remove("dragged");
    });
    row.addEventListener("dragover", (event) => {
      if (!this.dragged) return;
      event.preventDefault();
      row.classList.add("drop-here");
    });
    row.addEventListener("dragleave", () => row.classList.remove("drop-here"));
    row.addEventListener("drop", (event) => {
      event.preventDefault();
      row.classList.remove("drop-here");
      if (this.dragged && this.dragged.id !== product.id) this.move(this.dragged, at);
    });
  }

  move(product, to) {
    return this.save((ids) => ids.filter((id) => id !== product.id).toSpliced(to, 0, product.id));
  }

  /** `order(ids)` makes the next line-up of the present one: of that which the acts before this one have left. */
  async save(order) {
    try {
      await this.change(() => put(`/api/shows/${segment(this.show.id)}/lineup`, { products: order(this.ids()) }));
    } catch (error) {
      this.draw();
      toastProblem(error);
    }
  }

  async pin(product) {
    const path = `/api/shows/${segment(this.show.id)}/pins`;
    const pinned = this.pinned === product.id ? null : product.id;
    try {
      await this.change(async () => {
        await (pinned === null ? remove(path) : put(path, { product: pinned }));
        return { pinned };
      });
    } catch (error) {
      toastProblem(error);
    }
  }

  async edit(product) {
    try {
      const saved = await openProductForm(this.show.shop, product);
      if (!saved) return;
      await this.load();
      if (product) await this.reload();
      else await this.save((ids) => [...ids, saved.id]);
    } catch (error) {
      toastProblem(error);
    }
  }

  /** Redraws prices and stock from the room. */
  update(now) {
    for (const product of this.show.lineup) {
      const facts = this.list.querySelector(`[data-product="${CSS.escape(product.id)}"] .row-facts`);
      if (!facts) continue;
      say(facts, offersOf(product, this.state, now).map((offer) => {
        const name = offer.variant.title ? `${offer.variant.title}: ` : "";
        const sale = offer.phase === "running" ? "⚡ " : "";
        const instead = offer.listPrice === null ? "" : ` instead of ${money(offer.listPrice, offer.currency)}`;
        return `${name}${sale}${money(offer.price, offer.currency)}${instead}, ${offer.status === "open" ? `${offer.left} left` : offer.status === "all_held" ? "all held" : "sold out"}`;
      }).join("\n"));
    }
  }
}
