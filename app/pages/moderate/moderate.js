// The moderation page: the chat with its tools at hand, a small picture, who is timed out, and what was done.
// Connects the panels to the show's two rooms; each panel owns its own drawing.

import { get, segment } from "../shared/api.js";
import { everyTick } from "../shared/clock.js";
import { byId, el, fill, say } from "../shared/dom.js";
import { drawHeader } from "../shared/header.js";
import { Questions } from "../shared/questions.js";
import { Reading } from "../shared/reading.js";
import { openSession, signInUrl } from "../shared/session.js";
import { ShowRoom, statusText } from "../shared/show-room.js";
import { StaffChat } from "../shared/staff-chat.js";
import { Stage } from "../shared/stage.js";
import { toast, toastProblem } from "../shared/toast.js";
import { Unanswered } from "../shared/unanswered.js";
import { Acts } from "./acts.js";
import { listenToKeys } from "./keys.js";
import { Modes } from "./modes.js";
import { openPerson } from "./person.js";
import { Queue } from "./queue.js";
import { TimedOut } from "./timed-out.js";

const showId = decodeURIComponent(location.pathname.split("/")[2]);

class ModerationPage {
  constructor(host, found, session) {
    const places = {
      chat: el("section", { class: "panel chat", id: "chat", "aria-label": "Chat" }),
      stage: el("div", { id: "stage" }),
      modes: el("section", { class: "panel", id: "modes", "aria-label": "The room" }),
      queue: el("section", { class: "panel", id: "queue", "aria-label": "Waiting" }),
      questions: el("section", { class: "panel", id: "questions", "aria-label": "Questions" }),
      out: el("section", { class: "panel", id: "timed-out", "aria-label": "Timed out" }),
      acts: el("section", { class: "panel", id: "acts", "aria-label": "Acts" }),
    };
    this.title = el("h1", {}, found.title);
    fill(host, places.chat, el("aside", { class: "side" }, places.stage,
      el("div", { class: "row between" }, this.title, el("a", { class: "button small", href: `/watch/${segment(found.id)}`, target: "_blank" }, "Open watch page")),
      places.modes, places.queue, places.questions, places.out, places.acts));
    this.room = new ShowRoom(found.id, {
      on: {
        state: (key, value) => this.hearState(key, value),
        events: (events) => this.hear(events),
        reset: () => this.chat.feed.clear(),
        me: (me) => this.chat.hearMe(me),
        hint: (hint) => hint.t === "timeout" && this.chat.composer.timeOut(hint.remaining_ms),
        status: (status) => say(this.chat.status, statusText(status)),
      },
    });
    this.staff = new ShowRoom(found.id, {
      staff: true,
      on: { events: (events) => this.hearStaff(events), reset: () => this.readAgain(this.desk, ...(this.started ? [this.log] : [])) },
    });
    this.desk = new Reading({
      read: () => get(`/api/shows/${segment(found.id)}/moderation`),
      load: (desk) => this.load(desk),
      hear: (events) => this.hearDesk(events),
    });
    this.log = new Reading({
      read: () => this.acts.read(),
      load: (acts) => {
        this.acts.load(acts);
        this.out.recall(acts);
      },
      hear: (events) => this.hearLog(events),
    });
    this.stage = new Stage(places.stage, { showId: found.id, compact: true });
    this.chat = new StaffChat(places.chat, { room: this.room, show: found.id, host: found.standing === "host", me: session.person, open: true, title: "Chat", person: (account) => this.showPerson(account) });
    const send = (op, body) => this.chat.send(op, body);
    this.modes = new Modes(places.modes, { send, fresh: () => this.readAgain(this.desk), lead: found.standing !== "moderator", host: found.standing === "host" ? found.id : null });
    this.queue = new Queue(places.queue, { send, wordsOf: (message) => this.chat.feed.lineOf(message)?.querySelector(".chat-words")?.textContent });
    const asked = el("div", {});
    fill(places.questions, el("h2", {}, "Questions"), asked);
    this.questions = new Questions(asked, { room: this.room, me: () => session.person, staff: true });
    this.unanswered = new Unanswered(asked, { show: found.id, answer: (one) => this.questions.writeAnswer(one), send });
    this.out = new TimedOut(places.out, this.room, (account) => this.showPerson(account));
    this.acts = new Acts(places.acts, found.id, send);
  }

  async start() {
    this.room.open();
    this.staff.open();
    this.stage.start();
    everyTick((now) => this.out.update(now));
    listenToKeys({
      lists: { c: { list: this.chat.feed.list, at: -1 }, q: { list: this.queue.list, at: 0 }, l: { list: this.acts.list, at: 0 }, k: { list: this.questions.list, at: 0 } },
      press: {
        s: () => byId("mode-shield").click(),
        "/": () => this.chat.composer.input.focus(),
        i: (row) => row?.dataset.by && this.showPerson(row.dataset.by),
        x: (row) => this.choose(row),
        D: () => this.deleteChosen(),
      },
    });
    await Promise.all([this.log.refresh(), this.desk.refresh()]);
    this.started = true;
  }

  readAgain(...readings) {
    return Promise.all(readings.map((one) => one.refresh())).catch(toastProblem);
  }

  /** Modes, terms and what waits, as the server has them now. */
  load(desk) {
    this.modes.draw(desk);
    this.queue.load(desk);
    this.chat.loadComing(desk.held);
    this.chat.feed.watch(desk.watched);
    this.questions.load(desk.questions);
  }

  hearState(key, value) {
    this.stage.hear(key, value);
    this.chat.hearState(key, value);
    this.questions.hearState(key);
    this.unanswered.hearState(key, value);
  }

  hearDesk(events) {
    this.queue.hear(events);
    this.chat.hearStaff(events);
    this.questions.hearStaff(events);
  }

  // Of the staff room who did what, of the public one who is silenced.
  hearLog(events) {
    const acts = events.filter((event) => event.t === "act");
    if (acts.length) this.acts.hear(acts);
    this.out.hear(events);
  }

  hearStaff(events) {
    this.desk.hear(events);
    this.unanswered.hearStaff(events);
    this.log.hear(events);
    // Somebody else may have moved a switch.
    if (events.some(({ t, act }) => t === "act" && /^(modes|shield|terms|person)[.]/.test(act))) this.readAgain(this.desk);
  }

  showPerson(account) {
    openPerson(showId, account, (op, body) => this.chat.send(op, body)).catch((error) => toast(error.message, "bad"));
  }

  choose(row) {
    if (row?.dataset.message && !row.classList.contains("gone")) row.classList.toggle("chosen");
  }

  async deleteChosen() {
    const chosen = [...this.chat.feed.list.querySelectorAll(".chosen")].map((line) => line.dataset.message);
    if (chosen.length) await this.chat.send("chat.delete_many", { messages: chosen.slice(0, 50) });
  }

  hear(events) {
    this.chat.feed.addAll(events);
    this.log.hear(events);
  }
}

function closedDoor(title, text, link) {
  fill(byId("main"), el("div", { class: "page stack" }, el("h1", {}, title), el("p", { class: "soft" }, text), el("p", {}, link)));
}

const session = await openSession();
drawHeader(session);
try {
  const found = await get(`/api/shows/${segment(showId)}`);
  if (!session.person) {
    closedDoor("Moderation", "Sign in as a moderator of this show.", el("a", { class: "button primary", href: signInUrl() }, "Sign in"));
  } else if (found.standing === "viewer") {
    closedDoor("You do not moderate this show", `Only the staff of ${found.shop.name} can. The host appoints moderators in the studio.`,
      el("a", { class: "button", href: `/watch/${segment(showId)}` }, "Watch it"));
  } else {
    document.title = `${found.title} · Moderate · Hawker`;
    await new ModerationPage(byId("main"), found, session).start();
  }
} catch (error) {
  if (error.name !== "Problem") throw error;
  const none = error.status === 404;
  closedDoor(none ? "There is no such show" : "Hawker does not answer", none ? "The link may be mistyped or out of date." : error.message, el("a", { class: "button", href: "/" }, "To all shows"));
}
