// The watch page: connects the stage, the chat, the pinned product, the line-up and the buy sheet to the show's room.
// Owns no drawing of its own beyond the title and the list of holds.

import { get, segment } from "../shared/api.js";
import { ChatFeed } from "../shared/chat-feed.js";
import { countdown, everyTick, serverNow } from "../shared/clock.js";
import { Composer } from "../shared/composer.js";
import { byId, el, fill, say, show } from "../shared/dom.js";
import { drawHeader } from "../shared/header.js";
import { icon } from "../shared/icons.js";
import { OfferCard } from "../shared/offer-card.js";
import { fullTitle } from "../shared/offers.js";
import { openSession, signInUrl } from "../shared/session.js";
import { ShowRoom, statusText } from "../shared/show-room.js";
import { NoticeBar } from "../shared/notice-bar.js";
import { Polls } from "../shared/polls.js";
import { Questions } from "../shared/questions.js";
import { Reading } from "../shared/reading.js";
import { Stage } from "../shared/stage.js";
import { Ticker } from "../shared/ticker.js";
import { toast, toastProblem } from "../shared/toast.js";
import { bannedPage } from "./banned.js";
import { BuySheet } from "./buy-sheet.js";
import { Cart } from "./cart.js";
import { Follow } from "./follow.js";
import { Holds } from "./holds.js";
import { LineUp } from "./line-up.js";
import { Lines } from "./lines.js";
import { Reactions } from "./reactions.js";
import { SaleStrip } from "./sale-strip.js";
import { Talk } from "./talk.js";

const RELOAD_SPREAD_MS = 2000;
const PICTURE_FIRST_MS = 400;
const SIGNED_OUT = 4001; // the socket's close codes
const OUT = 4003;
const showId = decodeURIComponent(location.pathname.split("/")[2]);

class WatchPage {
  constructor(session, stage) {
    this.me = session.person;
    this.stage = stage;
    this.room = new ShowRoom(showId, {
      on: {
        state: (key, value) => this.hearState(key, value),
        events: (events) => this.hearEvents(events),
        reset: () => this.feed.clear(),
        me: (me) => this.hearMe(me),
        hint: (hint) => this.hearHint(hint),
        reactions: (sums) => this.reactions.hear(sums),
        status: (status) => this.hearStatus(status),
      },
    });
    this.talk = new Talk(this.room, { me: () => this.me, answer: (event) => this.composer.answer(event) });
    this.feed = new ChatFeed(byId("feed"), { me: () => this.me, actionsOf: (event) => this.talk.actionsOf(event), actionsLater: true, mentioned: (event) => toast(`${event.by.name} speaks to you.`) });
    this.notice = new NoticeBar(byId("feed"));
    this.ticker = new Ticker(byId("ticker"));
    this.polls = new Polls(byId("feed"), { room: this.room, show: showId, me: () => this.me });
    this.composer = new Composer(byId("composer"), { signedIn: this.me !== null, room: this.room });
    this.reactions = new Reactions(byId("reactions"), { room: this.room, signedIn: this.me !== null });
    this.questions = new Questions(byId("questions"), { room: this.room, me: () => this.me, count: (n) => say(byId("question-count"), n ? String(n) : "") });
    this.holds = new Holds(showId, this.me, () => this.drawHolds());
    this.sheet = new BuySheet({ holds: this.holds, state: this.room.state, signedIn: this.me !== null });
    this.cart = new Cart(byId("cart"), { show: showId, holds: this.holds, done: (order) => this.sheet.showDone(order) });
    this.sheet.cart = this.cart;
    this.follow = new Follow(byId("follow"));
    this.lines = new Lines(byId("lines"), {
      room: this.room, show: showId, signedIn: this.me !== null, title: (pool) => this.titleOf(pool),
      take: (pool) => this.takeInTurn(pool), signIn: () => location.assign(signInUrl()),
    });
    this.holds.lines = this.lines;
    this.buy = (product, variantId, ordinary) => this.sheet.choose(product, variantId, ordinary);
    this.lineUp = new LineUp(byId("lineup"), { state: this.room.state, buy: this.buy, lines: this.lines });
    this.strip = new SaleStrip(byId("sales"), { state: this.room.state, buy: this.buy, lines: this.lines, find: (id) => this.lineUp.find(id) });
    this.reading = new Reading({
      read: () => get(`/api/shows/${segment(showId)}`),
      load: (found) => this.take(found),
      hear: (named) => this.hearNamed(named),
    });
    this.pinned = null;
    this.nothingPinned = el("p", { class: "empty panel" });
    this.reloading = null;
    this.over = false;
    this.drawPinned(null);
  }

  async start() {
    this.room.open();
    try {
      await this.reading.refresh();
    } catch (error) {
      this.room.client.close();
      this.stage.player.stop();
      throw error;
    }
    everyTick((now) => this.tick(now));
    if (this.me) this.talk.loadBlocks(byId("blocks"), (accounts) => this.feed.mute(accounts)).catch(toastProblem);
  }

  take(found) {
    const { title } = this.room.state.get("show") ?? found;
    say(byId("title"), title);
    say(byId("shop"), found.shop.name);
    document.title = `${title} · Hawker`;
    if (this.me) this.follow.load(found.shop).catch(toastProblem);
    this.lineUp.show(found.lineup);
    this.cart.shop = found.shop.id;
    this.sheet.sellFor(found.shop.id);
    if (this.me) this.sheet.quick.look();
    if (this.me) this.cart.load().then(() => this.drawHolds()).catch(toastProblem);
    if (!this.room.state.has("show")) this.stage.setShow(found.state);
    this.tick(serverNow());
  }

  // Products that the room names. What this page has not loaded is read: spread, since every viewer notices at once.
  hearNamed(products) {
    if (!this.lineUp.shown || products.every((product) => this.lineUp.has(product))) return;
    this.reloading ??= setTimeout(() => {
      this.reloading = null;
      this.reading.refresh().catch((error) => toast(error.message, "bad"));
    }, Math.random() * RELOAD_SPREAD_MS);
  }

  tick(now) {
    this.pinned?.update(now);
    const pinned = this.pinned?.product.id ?? null;
    this.lineUp.update(now, pinned);
    this.strip.update(now, pinned);
    this.lines.update(now);
    for (const clock of document.querySelectorAll("#held [data-hold]")) {
      const hold = this.holds.find(clock.dataset.hold);
      if (!hold) return this.drawHolds();
      say(clock, countdown(hold.deadline - now));
    }
  }

  hearState(key, value) {
    this.stage.hear(key, value);
    if (key === "show" && value) {
      say(byId("title"), value.title);
      this.over = value.state === "ended";
      this.drawNothing();
    }
    if (key === "pin") this.drawPinned(value);
    if (key === "notice") this.notice.hear(value);
    if (key === "poll") this.polls.hear(value);
    if (key === "ticker") this.ticker.hear(value);
    if (key === "buying") this.composer.setBuying(value);
    this.questions.hearState(key);
    if (key === "chat") this.composer.setModes(value);
    if (key === "pin" || /^(pool|sale|line):/.test(key)) this.redrawSoon();
    if (key.startsWith("sale:") && value) this.reading.hear([value.product.id]);
  }

  // A batch of values is one redraw, before the next paint.
  redrawSoon() {
    if (this.redrawing) return;
    this.redrawing = true;
    queueMicrotask(() => {
      this.redrawing = false;
      this.tick(serverNow());
    });
  }

  drawNothing() {
    say(this.nothingPinned, this.over ? "This show is over. What was in it is still here."
      : "The host shows nothing right now. Look around in all products.");
  }

  drawPinned(product) {
    this.drawNothing();
    this.pinned = product ? new OfferCard(product, { kind: "hero", state: this.room.state, buy: this.buy, lines: this.lines }) : null;
    fill(byId("pinned"), this.pinned?.node ?? this.nothingPinned);
    if (product) this.reading.hear([product.id]);
  }

  hearEvents(events) {
    this.feed.addAll(events);
    for (const event of events) {
      const mine = this.me !== null && event.person?.id === this.me.id;
      if (mine && event.t === "timeout.ended") this.composer.timeOut(null);
    }
  }

  hearMe(me) {
    if (this.me !== null && me.person?.id !== this.me.id) this.becomeNobody();
    this.lines.replaceAll(me.lines ?? []);
    this.holds.replaceAll(me.holds ?? []);
    this.composer.timeOut(me.timeout_ms);
    this.questions.hearMe(me);
    this.polls.hearMe(me);
    setTimeout(() => this.feed.addOwn(me.own ?? [])); // once the history is drawn
    if (me.warning) this.talk.warn(me.warning);
  }

  // Signed out in another window: the show goes on without a name.
  becomeNobody() {
    this.me = null;
    this.sheet.signedIn = false;
    this.reactions.allow(false);
    this.follow.leave();
    this.cart.leave();
    this.lines.signedIn = false;
    this.lines.replaceAll([]);
    drawHeader({ person: null, shops: [], moderates: [] });
    this.composer = new Composer(byId("composer"), { signedIn: false, room: this.room });
    toast("You are signed out. Sign in again to chat and buy.");
  }

  hearHint(hint) {
    if (hint.t === "line") {
      if (hint.hold) this.holds.keep(hint.hold);
      this.lines.hear(hint.place);
      this.drawHolds();
    }
    this.holds.hear(hint);
    this.questions.hearHint(hint);
    if (hint.t === "chat") this.feed.addOwn([hint]);
    if (hint.t === "comment.hold") this.hearBought(hint.hold);
    if (hint.t === "comment.refused") this.feed.tell("bag", hint.text, "mod");
    if (hint.t === "standing" && hint.standing !== "viewer") toast(`You are a ${hint.standing === "lead" ? "lead moderator" : hint.standing} of this show now.`, "good");
    if (hint.t === "warning") this.talk.warn(hint);
    if (hint.t === "held.decided") toast(hint.approved ? "Your message was let through." : "Your message was not let through.");
    if (hint.t === "timeout") this.composer.timeOut(hint.remaining_ms);
    if (hint.t === "hold.expired" && !this.sheet.isOpen) toast("A hold of yours has ended; the item is back on the shelf.");
    if (hint.t === "order.cancelled") toast("An order of yours was cancelled. What was paid goes back to you.", "bad");
    if (hint.t === "order.refunded") toast("A refund of yours is on its way.", "good");
  }

  // The person's own message took a hold: they alone are told, and can pay from there.
  hearBought(hold) {
    const kept = this.holds.keep(hold);
    if (!kept) return;
    this.drawHolds();
    this.feed.tell("bag", `${hold.quantity} × ${hold.title} is held for you.`, "sold", { word: "Pay", run: () => this.payBought(kept) });
  }

  payBought(hold) {
    const live = this.holds.find(hold.id);
    if (live) this.resume(live);
    else toast("This hold has ended.");
  }

  // Everything of the person's here has ended: the socket, the picture, what was held.
  showOut() {
    this.room.client.close();
    this.stage.player.stop();
    show(byId("main"), false); // not emptied: what is still on its way finds its place
    byId("main").after(bannedPage(showId, this.me !== null));
  }

  hearStatus(status) {
    if (status.code === OUT) return this.showOut();
    if (status.code === SIGNED_OUT && this.me !== null) {
      this.becomeNobody();
      this.room.open();
      return;
    }
    if (status.status === "connecting") this.holds.join();
    say(byId("connection"), statusText(status));
    document.body.dataset.room = status.status;
  }

  drawHolds() {
    const live = this.holds.all().filter((hold) => !this.cart.has(hold.id));
    const focused = byId("held").contains(document.activeElement) ? document.activeElement.dataset.held : null;
    show(byId("held"), live.length > 0);
    fill(byId("held"), live.map((hold) => el("button", { type: "button", class: "held-item", data: { held: hold.id }, onclick: () => this.resume(hold) },
      icon("clock"), el("span", { class: "grow" }, `${hold.quantity} × ${hold.title} is ${this.lines.offers(hold.id) ? "offered to you, who waited" : "held for you"}`),
      el("strong", { class: "numbers", data: { hold: hold.id } }, countdown(hold.deadline - serverNow())),
      el("span", { class: "held-pay" }, "Pay"))));
    if (focused) [...byId("held").children].find((one) => one.dataset.held === focused)?.focus();
  }

  resume(hold) {
    this.sheet.resume(hold, this.productOf(hold.variant) ?? { title: hold.title, photo: null, variants: [] });
  }

  productOf(variantId) {
    const products = [this.pinned?.product, ...this.lineUp.cards.map((card) => card.product)];
    return products.find((one) => one?.variants.some((variant) => variant.id === variantId));
  }

  variantOf(pool) {
    const sale = [...this.room.state.values()].find((value) => value?.pool === pool && value.variant);
    if (sale) return sale.variant;
    return this.lineUp.cards.flatMap((card) => card.product.variants).find((one) => one.pool === pool)?.id;
  }

  titleOf(pool) {
    const variantId = this.variantOf(pool);
    const product = this.productOf(variantId);
    return product ? fullTitle(product, product.variants.find((one) => one.id === variantId)) : "an item of this show";
  }

  takeInTurn(pool) {
    const variantId = this.variantOf(pool);
    const product = this.productOf(variantId);
    if (product) this.sheet.choose(product, variantId);
  }
}

function wireViews() {
  const main = byId("main");
  const view = (chosen) => {
    if (chosen !== "lineup") byId("chat").dataset.panel = chosen;
    main.dataset.view = chosen === "lineup" ? "lineup" : "chat";
    for (const one of document.querySelectorAll(".views button")) one.setAttribute("aria-pressed", String(one.dataset.view === chosen));
    for (const one of document.querySelectorAll(".chat-head [data-panel]")) one.setAttribute("aria-pressed", String(one.dataset.panel === byId("chat").dataset.panel));
  };
  for (const button of document.querySelectorAll(".views button")) button.addEventListener("click", () => view(button.dataset.view));
  for (const button of document.querySelectorAll(".chat-head [data-panel]")) button.addEventListener("click", () => view(button.dataset.panel));
}

// The picture first: it needs nobody's name, and it is what people came for. Building the rest of the page meanwhile
// would only keep the browser from its handshake: the first frame came at 315 ms instead of 130 on two cores.
const stage = new Stage(byId("stage"), { showId });
stage.start();
try {
  const [session] = await Promise.all([openSession(), stage.opened(PICTURE_FIRST_MS)]);
  drawHeader(session);
  wireViews();
  await new WatchPage(session, stage).start();
} catch (error) {
  if (error.name !== "Problem") throw error;
  const none = error.status === 404;
  fill(byId("main"), el("div", { class: "page stack" }, el("h1", {}, none ? "There is no such show" : "Hawker does not answer"),
    el("p", { class: "soft" }, none ? "The link may be mistyped or out of date." : error.message), el("p", {}, el("a", { class: "button", href: "/" }, "To all shows"))));
}
