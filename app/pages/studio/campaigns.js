// The shop's campaigns that are to come or running: percent off for a while. Makes them and ends them.
// What things cost meanwhile comes from the room, not from here.

import { get, post, segment } from "../shared/api.js";
import { serverNow } from "../shared/clock.js";
import { confirmDialog, openDialog } from "../shared/dialog.js";
import { busy, el, fill, say, show } from "../shared/dom.js";
import { icon } from "../shared/icons.js";
import { Reading } from "../shared/reading.js";
import { toastProblem } from "../shared/toast.js";
import { choice, field, momentInput, readMoment } from "./fields.js";

const DAY_MS = 86_400_000;
const END = { title: "End this campaign?", text: "Its prices go back at once. Whoever holds something may still pay what it cost.", yes: "End the campaign", danger: true };
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Campaigns {
  constructor(host, show) {
    this.shop = show.shop;
    this.shown = [];
    this.reading = new Reading({ read: () => get(`/api/campaigns?shop=${encodeURIComponent(this.shop.id)}`), load: (found) => this.take(found) });
    this.list = el("ul", { class: "desk-rows", id: "campaign-rows" });
    const make = el("button", { type: "button", class: "button small", id: "new-campaign" }, icon("plus"), "New campaign");
    make.addEventListener("click", () => busy(make, () => this.openForm()));
    fill(host, el("header", { class: "panel-head" }, el("h2", {}, "Campaigns"), make), this.list);
  }

  load() {
    return this.reading.refresh();
  }

  take({ campaigns }) {
    this.shown = campaigns.filter((one) => one.state !== "over");
    this.draw();
  }

  draw() {
    this.rows = this.shown.map((campaign) => this.row(campaign));
    fill(this.list, this.rows.length ? this.rows.map((row) => row.node) : el("li", { class: "empty" }, "No campaign. One lowers the prices of many products for a while."));
    this.update(serverNow());
  }

  row(campaign) {
    const facts = el("span", { class: "faint numbers" });
    const end = el("button", { type: "button", class: "button small danger", data: { does: "end-campaign" } }, "End");
    end.addEventListener("click", () => busy(end, () => this.end(campaign)));
    const node = el("li", { class: "desk-row", data: { campaign: campaign.id } },
      el("span", { class: "grow" }, el("h3", {}, `${campaign.name} · ${campaign.percent_off} % off`), facts), end);
    return { campaign, facts, node };
  }

  update(now) {
    for (const { campaign, facts, node } of this.rows ?? []) {
      const what = campaign.products ? `${campaign.products.length} products` : "all products";
      const when = now >= campaign.ends_at_ms ? "over" : now < campaign.starts_at_ms
        ? `from ${moment.format(campaign.starts_at_ms)} until ${moment.format(campaign.ends_at_ms)}` : `until ${moment.format(campaign.ends_at_ms)}`;
      say(facts, `${what}, ${when}`);
      show(node, now < campaign.ends_at_ms);
    }
  }

  async end(campaign) {
    if (campaign.starts_at_ms <= serverNow() && !(await confirmDialog(END))) return;
    try {
      await post(`/api/campaigns/${segment(campaign.id)}/end?shop=${encodeURIComponent(this.shop.id)}`);
      await this.load();
    } catch (error) {
      toastProblem(error);
    }
  }

  async openForm() {
    try {
      const { products } = await get(`/api/products?shop=${encodeURIComponent(this.shop.id)}`);
      new CampaignForm(this.shop, products, () => this.load().catch(toastProblem)).open();
    } catch (error) {
      toastProblem(error);
    }
  }
}

class CampaignForm {
  constructor(shop, products, made) {
    Object.assign(this, { shop, made });
    this.name = el("input", { class: "input", name: "name", required: true, maxlength: 60 });
    this.percent = el("input", { class: "input numbers", name: "percent_off", type: "number", min: 1, max: 99, required: true, value: "20" });
    this.from = momentInput("starts_at");
    this.until = momentInput("ends_at", serverNow() + DAY_MS);
    this.which = choice("which", [["all", "All products"], ["some", "Chosen products"]], "all");
    this.boxes = products.map((product) => ({ id: product.id, box: el("input", { type: "checkbox", name: "product", value: product.id }), title: product.title }));
    this.chosen = el("div", { class: "stack campaign-products", hidden: true }, this.boxes.map(({ box, title }) => el("label", { class: "check" }, box, el("span", {}, title))));
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.submit = el("button", { class: "button primary", id: "make-campaign" }, "Make the campaign");
  }

  open() {
    const form = el("form", { class: "stack", novalidate: true },
      el("div", { class: "pair" }, field("Name, for everybody to see", this.name), field("Percent off", this.percent)),
      el("div", { class: "pair" }, field("From (empty: now)", this.from), field("Until", this.until)),
      field("For", this.which), this.chosen, this.error, el("div", { class: "row end" }, this.submit));
    this.which.addEventListener("change", () => show(this.chosen, this.which.value === "some"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.submit, () => this.send());
    });
    this.sheet = openDialog({ title: "Campaign", body: form });
  }

  complain(text) {
    say(this.error, text);
    show(this.error, true);
  }

  /** The body of the request, or the first thing that is wrong, as text. */
  read() {
    const body = { shop: this.shop.id, name: this.name.value.trim(), percent_off: Number(this.percent.value), ends_at_ms: readMoment(this.until) };
    if (!body.name) return "The campaign needs a name.";
    if (!(Number.isInteger(body.percent_off) && body.percent_off >= 1 && body.percent_off <= 99)) return "Percent off is a whole number from 1 to 99.";
    const starts = readMoment(this.from);
    if (body.ends_at_ms === null || body.ends_at_ms <= Math.max(starts ?? 0, serverNow())) return "The campaign ends after it starts.";
    if (starts !== null) body.starts_at_ms = starts;
    if (this.which.value === "some") {
      body.products = this.boxes.filter(({ box }) => box.checked).map(({ id }) => id);
      if (!body.products.length) return "Choose at least one product.";
    }
    return body;
  }

  async send() {
    const body = this.read();
    if (typeof body === "string") return this.complain(body);
    try {
      await post("/api/campaigns", body);
      this.sheet.dialog.close();
      return this.made();
    } catch (error) {
      if (error.name !== "Problem") throw error;
      return this.complain(error.message);
    }
  }
}
