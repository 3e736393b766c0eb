// Who is timed out now, for how much longer, with the button that ends it.

import { countdown, serverNow } from "../shared/clock.js";
import { busy, el, fill, say } from "../shared/dom.js";
import { toast } from "../shared/toast.js";

export class TimedOut {
  /** `open(account)` opens somebody's card, where a ban can be ended. */
  constructor(host, room, open) {
    this.room = room;
    this.open = open;
    this.people = new Map();
    this.clocks = new Map();
    this.list = el("ul", { class: "out-rows", id: "out-rows" });
    fill(host, el("h2", {}, "Timed out or banned"), this.list);
    this.draw();
  }

  /** Events of the public room, in order. */
  hear(events) {
    for (const event of events) {
      if (event.t === "timeout" && this.people.get(event.person?.id)?.until !== Infinity) this.people.set(event.person.id, { person: event.person, until: event.at + event.seconds * 1000 });
      if (event.t === "ban") this.people.set(event.person.id, { person: event.person, until: Infinity });
      if (event.t === "ban.ended" || (event.t === "timeout.ended" && this.people.get(event.person.id)?.until !== Infinity)) this.people.delete(event.person.id);
    }
    this.draw();
  }

  /** Acts from before the room's history, oldest first. What the room said since is newer. */
  recall(acts) {
    const heard = this.people;
    this.people = new Map();
    for (const act of acts) {
      if (!act.target) continue;
      if (act.act === "timeout.set" && this.people.get(act.target.id)?.until !== Infinity) this.people.set(act.target.id, { person: act.target, until: act.detail.until_ms });
      if (act.act === "ban.set") this.people.set(act.target.id, { person: act.target, until: Infinity, everywhere: act.detail.everywhere });
      if (act.act === "ban.end" || (act.act === "timeout.end" && this.people.get(act.target.id)?.until !== Infinity)) this.people.delete(act.target.id);
    }
    for (const [id, one] of heard) this.people.set(id, one);
    this.draw();
  }

  draw() {
    const now = serverNow();
    for (const [id, one] of this.people) if (one.until <= now) this.people.delete(id);
    this.clocks.clear();
    fill(this.list, this.people.size ? [...this.people.values()].map((one) => this.row(one)) : el("li", { class: "faint" }, "Nobody."));
    this.update(now);
  }

  row({ person }) {
    const clock = el("strong", { class: "numbers" });
    this.clocks.set(person.id, clock);
    const end = el("button", { type: "button", class: "button small", "aria-label": `Let ${person.name} talk again` }, "End");
    end.addEventListener("click", () => busy(end, async () => {
      try {
        if (this.people.get(person.id)?.until === Infinity) this.open(person.id);
        else await this.room.command("timeout.end", { account: person.id });
      } catch (error) {
        toast(error.message, "bad");
        if (!error.code) throw error;
      }
    }));
    return el("li", { class: "out-row", data: { account: person.id } }, el("span", { class: "grow" }, person.name), clock, end);
  }

  update(now) {
    for (const [id, clock] of this.clocks) {
      const one = this.people.get(id);
      if (!one || one.until <= now) return this.draw();
      say(clock, one.until === Infinity ? "banned" : countdown(one.until - now));
    }
    return undefined;
  }
}
