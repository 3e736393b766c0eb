// The desk of one show: connects its panels to the show's two rooms (public and staff) and to the show itself.
// Owns the layout and the loaded show; each panel owns its own drawing and calls.

import { get, segment } from "../shared/api.js";
import { everyTick, serverNow } from "../shared/clock.js";
import { el, fill, say } from "../shared/dom.js";
import { Questions } from "../shared/questions.js";
import { Reading } from "../shared/reading.js";
import { ShowRoom, statusText } from "../shared/show-room.js";
import { StaffChat } from "../shared/staff-chat.js";
import { toastProblem } from "../shared/toast.js";
import { Unanswered } from "../shared/unanswered.js";
import { Answers } from "./answers.js";
import { Broadcast } from "./broadcast.js";
import { Campaigns } from "./campaigns.js";
import { CommentBuying } from "./comment-buying.js";
import { Coupons } from "./coupons.js";
import { LineUpDesk } from "./line-up-desk.js";
import { Moderators } from "./moderators.js";
import { Orders } from "./orders.js";
import { SalesDesk } from "./sales-desk.js";
import { ShowBar } from "./show-bar.js";

const panel = (name, label) => el("section", { class: `panel desk-${name}`, id: name, "aria-label": label });

class Desk {
  constructor(host, show, session) {
    this.show = show;
    const places = {
      bar: el("section", { class: "desk-bar", id: "bar", "aria-label": "Show" }),
      broadcast: panel("broadcast", "Going live"),
      lineup: panel("lineup", "Line-up"),
      sales: panel("sales", "Flash sales"),
      chat: el("section", { class: "panel chat desk-chat", id: "chat", "aria-label": "Chat" }),
      campaigns: panel("campaigns", "Campaigns"),
      coupons: panel("coupons", "Coupons"),
      buying: panel("comment-buying", "Comment to buy"),
      answers: panel("answers", "Answers by rule"),
      orders: panel("orders", "Orders"),
      questions: panel("questions", "Questions"),
      moderators: panel("moderators", "Moderators"),
    };
    fill(host, el("div", { class: "desk" }, places.bar,
      el("div", { class: "desk-column side" }, places.broadcast, places.orders),
      el("div", { class: "desk-column middle" }, places.sales, places.lineup, places.campaigns, places.coupons, places.buying, places.answers),
      el("div", { class: "desk-column side" }, places.chat, places.questions, places.moderators)));
    this.room = new ShowRoom(show.id, {
      on: {
        state: (key, value) => {
          this.hearState(key, value);
          this.chat.hearState(key, value);
          this.questions.hearState(key);
          this.unanswered.hearState(key, value);
        },
        events: (events) => this.chat.feed.addAll(events),
        reset: () => this.chat.feed.clear(),
        me: (me) => this.chat.hearMe(me),
        hint: () => {},
        status: (status) => say(this.chat.status, statusText(status)),
      },
    });
    this.staff = new ShowRoom(show.id, {
      staff: true,
      on: {
        state: (key, value) => this.hearState(key, value),
        events: (events) => this.hearStaff(events),
        // Its history does not reach back to what was heard last; at the first join all is being read anyway.
        reset: () => this.started && this.orders.load().catch(toastProblem),
      },
    });
    // The show as it is answered; its state and what is pinned the room says, too.
    this.reading = new Reading({
      read: () => get(`/api/shows/${segment(show.id)}`),
      load: (found) => this.take(found),
      hear: (said) => said.forEach(([key, value]) => this.hearShow(key, value)),
    });
    const change = (act) => this.reading.change(async () => {
      const changed = await act();
      return { ...this.show, ...changed };
    });
    this.bar = new ShowBar(places.bar, show, change);
    this.broadcast = new Broadcast(places.broadcast, show);
    this.lineUp = new LineUpDesk(places.lineup, { show, state: this.room.state, change, reload: () => this.reading.refresh() });
    this.sales = new SalesDesk(places.sales, { show, state: this.room.state });
    this.campaigns = new Campaigns(places.campaigns, show);
    this.coupons = new Coupons(places.coupons, show);
    this.buying = new CommentBuying(places.buying, show);
    this.answers = new Answers(places.answers, show);
    this.chat = new StaffChat(places.chat, { room: this.room, show: show.id, host: true, me: session.person, title: "Chat" });
    const asked = el("div", {});
    fill(places.questions, el("header", { class: "panel-head" }, el("h2", {}, "Questions")), asked);
    this.questions = new Questions(asked, { room: this.room, me: () => session.person, staff: true });
    this.unanswered = new Unanswered(asked, { show: show.id, answer: (one) => this.questions.writeAnswer(one), send: (op, body) => this.chat.send(op, body) });
    this.orders = new Orders(places.orders, show);
    this.moderators = new Moderators(places.moderators, show);
  }

  async start() {
    this.room.open();
    this.staff.open();
    everyTick((now) => this.tick(now));
    await Promise.all([this.lineUp.load(), this.campaigns.load(), this.coupons.load(), this.buying.load(), this.answers.load(), this.orders.load(), this.moderators.load(), this.broadcast.load()]);
    this.started = true;
  }

  take(show) {
    this.show = show;
    this.bar.take(show);
    this.lineUp.take(show);
    this.buying.take(show);
  }

  tick(now) {
    this.lineUp.update(now);
    this.sales.update(now);
    this.bar.update(now);
    this.campaigns.update(now);
  }

  hearShow(key, value) {
    this.bar.hear(key, value);
    if (key === "show" && value) this.show = { ...this.show, title: value.title, state: value.state };
    if (key !== "pin") return;
    this.show = { ...this.show, pinned: value?.id ?? null };
    this.lineUp.setPinned(this.show.pinned);
  }

  hearState(key, value) {
    this.reading.hear([[key, value]]);
    this.broadcast.hear(key, value);
    if (key.startsWith("sale:")) this.sales.draw();
    if (!this.redrawing) {
      this.redrawing = true;
      queueMicrotask(() => {
        this.redrawing = false;
        this.tick(serverNow());
      });
    }
  }

  hearStaff(events) {
    this.chat.hearStaff(events);
    this.unanswered.hearStaff(events);
    const orders = events.filter((event) => event.t === "order").map((event) => event.order);
    if (orders.length) this.orders.hear(orders);
  }
}

/** Opens the desk of a show in `host`. Throws Problem when the person may not. */
export async function openDesk(host, showId, session) {
  const show = await get(`/api/shows/${segment(showId)}`);
  if (show.standing !== "host") {
    fill(host, el("div", { class: "page stack" }, el("h1", {}, "This show is not yours to run"),
      el("p", { class: "soft" }, `${show.title} belongs to ${show.shop.name}.`),
      el("p", {}, el("a", { class: "button", href: `/watch/${segment(showId)}` }, "Watch it"))));
    return;
  }
  document.title = `${show.title} · Studio · Hawker`;
  await new Desk(host, show, session).start();
}
