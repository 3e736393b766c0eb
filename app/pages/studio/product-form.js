// The form for a product: words, photo, variants with price and stock. The same for a new one and an old one.

import { get, post, put, segment, upload } from "../shared/api.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { exponent, parseMinor, plainAmount } from "../shared/money.js";
import { photo as picture } from "../shared/offer-card.js";
import { DiscountFields } from "./discount-fields.js";

const PHOTO_BYTES_MAX = 5 * 1024 * 1024;
const PHOTO_TYPES = "image/jpeg,image/png,image/webp";
const VARIANTS_MAX = 30;

class VariantRows {
  constructor(currency, variants) {
    this.currency = currency;
    this.rows = [];
    this.node = el("div", { class: "variant-rows" });
    for (const variant of variants) this.add(variant);
    if (!variants.length) this.add(null);
  }

  add(variant) {
    if (this.rows.length >= VARIANTS_MAX) return;
    const step = exponent(this.currency) ? "0.01" : "1";
    const row = {
      id: variant?.id ?? null,
      title: el("input", { class: "input", placeholder: "e.g. Large", maxlength: 80, value: variant?.title ?? "", "aria-label": "Variant name" }),
      price: el("input", { class: "input numbers", inputmode: "decimal", required: true, placeholder: step, value: variant ? plainAmount(variant.price_minor, this.currency) : "", "aria-label": `Price in ${this.currency}` }),
      stock: el("input", { class: "input numbers", type: "number", min: 0, max: 1000000, required: true, value: variant ? "0" : "10", "aria-label": variant ? `Units to add, ${variant.on_hand} on hand` : "Units in stock" }),
    };
    const drop = el("button", { type: "button", class: "icon-button", "aria-label": "Remove this variant", hidden: variant !== null }, icon("close"));
    row.node = el("div", { class: "variant-row" }, row.title, row.price,
      el("span", { class: "stock-field" }, variant ? el("span", { class: "faint" }, `${variant.on_hand} +`) : null, row.stock), drop);
    drop.addEventListener("click", () => {
      if (this.rows.length === 1) return;
      this.rows = this.rows.filter((one) => one !== row);
      row.node.remove();
    });
    this.rows.push(row);
    this.node.append(row.node);
  }

  /** The variants as the API wants them, or the first thing that is wrong, as text. */
  read() {
    const variants = [];
    for (const row of this.rows) {
      const price = parseMinor(row.price.value, this.currency);
      const stock = Number(row.stock.value);
      if (!price) return `“${row.price.value}” is not a price in ${this.currency}.`;
      if (!Number.isInteger(stock) || stock < 0) return "Stock is a whole number, zero or more.";
      const words = { title: row.title.value.trim(), price_minor: price };
      if (row.id) variants.push({ id: row.id, ...words, ...(stock ? { stock_add: stock } : {}) });
      else variants.push({ ...words, ...(this.editing ? { stock_add: stock } : { stock }) });
    }
    return variants;
  }
}

/** Opens the form; resolves with the saved product, or null when it was closed. */
export async function openProductForm(shop, known) {
  const product = known ? await get(`/api/products/${segment(known.id)}`) : null;
  const form = new ProductForm(shop, product);
  return form.done;
}

class ProductForm {
  constructor(shop, product) {
    this.shop = shop;
    this.product = product;
    this.photo = product?.photo ?? null;
    this.saved = null;
    this.sending = Promise.resolve(); // photos, one after the other: the last that was chosen stays
    this.title = el("input", { class: "input", name: "title", required: true, maxlength: 120, value: product?.title ?? "" });
    this.description = el("textarea", { class: "input", name: "description", maxlength: 4000, value: product?.description ?? "" });
    this.file = el("input", { type: "file", accept: PHOTO_TYPES, class: "visually-hidden", id: "photo-file" });
    this.frame = el("div", { class: "photo-frame" });
    this.variants = new VariantRows(shop.currency, product?.variants ?? []);
    this.variants.editing = product !== null;
    this.discount = new DiscountFields(shop.currency, product?.discount ?? null);
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.submit = el("button", { class: "button primary", id: "save-product" }, product ? "Save" : "Add product");
    const more = el("button", { type: "button", class: "button small ghost", onclick: () => this.variants.add(null) }, icon("plus"), "Variant");
    const form = el("form", { class: "stack", novalidate: true },
      el("div", { class: "product-words" },
        el("div", { class: "photo-field" }, this.frame, this.file, el("label", { class: "button small", for: "photo-file" }, icon("camera"), "Photo")),
        el("div", { class: "stack grow" },
          el("label", { class: "field" }, el("span", {}, "Title"), this.title),
          el("label", { class: "field" }, el("span", {}, "Description"), this.description))),
      el("fieldset", { class: "stack" }, el("legend", {}, "Variants"),
        el("div", { class: "variant-row variant-head faint", "aria-hidden": "true" }, el("span", {}, "Name (may stay empty)"), el("span", {}, `Price, ${shop.currency}`), el("span", {}, product ? "Stock + add" : "Stock")),
        this.variants.node, el("div", {}, more)),
      this.discount.node, this.error, el("div", { class: "row end" }, this.submit));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.submit, () => this.save());
    });
    this.file.addEventListener("change", () => {
      this.sending = this.sending.then(() => this.sendPhoto());
    });
    this.drawPhoto();
    this.sheet = openDialog({ title: product ? "Edit product" : "New product", body: form, className: "wide" });
    this.done = this.sheet.closed.then(() => this.saved);
  }

  drawPhoto() {
    fill(this.frame, picture({ photo: this.photo }));
  }

  complain(text) {
    say(this.error, text);
    show(this.error, text !== "");
  }

  async sendPhoto() {
    const file = this.file.files[0];
    if (!file) return;
    if (file.size > PHOTO_BYTES_MAX) return this.complain("The photo is larger than 5 MiB.");
    this.complain("");
    this.frame.classList.add("loading");
    try {
      this.photo = (await upload(`/api/photos?shop=${encodeURIComponent(this.shop.id)}`, file)).photo;
      this.drawPhoto();
    } catch (error) {
      if (error.name !== "Problem") throw error;
      this.complain(error.message);
    } finally {
      this.frame.classList.remove("loading");
    }
  }

  async save() {
    await this.sending; // a photo that is on its way belongs to it
    const title = this.title.value.trim();
    const variants = this.variants.read();
    if (!title) return this.complain("The product needs a title.");
    if (typeof variants === "string") return this.complain(variants);
    const discount = this.discount.read();
    if (typeof discount === "string") return this.complain(discount);
    const words = { title, description: this.description.value.trim(), photo: this.photo, variants, discount };
    try {
      this.saved = this.product ? await put(`/api/products/${segment(this.product.id)}`, words)
        : await post("/api/products", { shop: this.shop.id, ...words });
      this.sheet.dialog.close();
    } catch (error) {
      if (error.name !== "Problem") throw error;
      this.complain(error.message);
    }
  }
}
