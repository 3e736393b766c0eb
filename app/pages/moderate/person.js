// The card of one person: since when they are here, what they said, what was done about them, and what can be done.

import { duration, serverNow, timeOfDay } from "../shared/clock.js";
import { get, segment } from "../shared/api.js";
import { openDialog } from "../shared/dialog.js";
import { busy, el, fill } from "../shared/dom.js";
import { Reading } from "../shared/reading.js";
import { wordsOf } from "./acts.js";
import { askText } from "./terms.js";

const TIMES = [[60, "1 min"], [600, "10 min"], [3600, "1 h"], [86400, "1 day"], [1209600, "14 days"]];
const LEVELS = [["none", "No eye on them"], ["monitored", "Mark what they write"], ["restricted", "Hold what they write"], ["hidden", "Show it to themselves alone"]];
const day = (ms) => new Date(ms).toLocaleDateString([], { dateStyle: "medium" });

function standingNow({ silenced_until_ms: until, banned_everywhere: everywhere }) {
  if (until === null) return "May write.";
  if (until) return `Timed out for ${duration(until - serverNow())} more.`;
  return everywhere ? "Banned from all shows of the shop." : "Banned from this show.";
}

/** Opens the card. `send(op, body)` sends a command of the staff. */
export async function openPerson(showId, account, send) {
  const body = el("div", { class: "stack person-card" });
  const { dialog, heading } = openDialog({ title: "…", body });
  const reading = new Reading({
    read: () => get(`/api/shows/${segment(showId)}/moderation/people/${segment(account)}`),
    load: (card) => {
      fill(heading, card.person.name);
      draw(body, card, (op, more) => send(op, { account, ...more }).then(() => dialog.open && reading.refresh()));
    },
  });
  await reading.refresh();
}

function draw(body, card, act) {
  const button = (word, id, work, danger = false) => {
    const one = el("button", { type: "button", id, class: `button small${danger ? " danger" : ""}` }, word);
    one.addEventListener("click", () => busy(one, work));
    return one;
  };
  const asking = (op, title, more = {}, required = false) => async () => {
    const reason = await askText({ title, label: "Why? The person reads this.", yes: title, required, danger: op === "ban.set" });
    if (reason !== null) await act(op, { reason, ...more });
  };
  const silenced = card.silenced_until_ms !== null;
  const banned = card.silenced_until_ms === 0;
  fill(body,
    el("p", {}, el("strong", { id: "person-state" }, standingNow(card)), ` ${card.messages} ${card.messages === 1 ? "message" : "messages"} in this show. `,
      card.first_seen_ms ? `First wrote here on ${day(card.first_seen_ms)}. ` : "Never wrote here before. ", `Account made on ${day(card.account_made_ms)}.`),
    card.standing === "host" ? null : el("div", { class: "row" },
      button("Warn…", "warn", asking("warning.give", "Warn", {}, true)),
      banned ? button("Let back in", "unban", () => act("ban.end", { everywhere: card.banned_everywhere }))
        : button("Ban from this show…", "ban", asking("ban.set", "Ban"), true),
      banned ? null : button("Ban from all shows…", "ban-everywhere", asking("ban.set", "Ban everywhere", { everywhere: true }), true),
      button("Delete all they said", "delete-all", () => act("chat.delete_of", {}), true)),
    card.standing === "host" || banned ? null : el("div", { class: "row", role: "group", "aria-label": "Time out" },
      TIMES.map(([seconds, word]) => button(word, `time-${seconds}`, () => act("timeout.set", { seconds }))),
      silenced ? button("End the timeout", "end-timeout", () => act("timeout.end", {})) : null),
    card.standing === "host" ? null : el("div", { class: "row segments-row", role: "group", "aria-label": "Keep an eye on them" },
      LEVELS.map(([level, word]) => {
        const one = button(word, `watch-${level}`, () => act("person.watch", { level }));
        one.setAttribute("aria-pressed", String(card.watched === level));
        one.classList.add("toggle");
        return one;
      })),
    el("h3", {}, "What they said"),
    el("ol", { class: "person-lines" }, card.last.length ? card.last.map((line) => el("li", {}, el("time", { class: "faint numbers" }, timeOfDay(line.at_ms)), " ",
      line.text === null ? el("em", { class: "faint" }, "deleted") : line.text)) : el("li", { class: "faint" }, "Nothing yet.")),
    el("h3", {}, "What was done"),
    el("ol", { class: "person-lines" }, card.acts.length ? card.acts.map((one) => el("li", {}, el("time", { class: "faint numbers" }, timeOfDay(one.at_ms)), " ",
      el("strong", {}, one.actor.name), ` ${wordsOf(one.act).replace(/ of$/, " of theirs")}`, one.detail.reason ? ` (${one.detail.reason})` : "")) : el("li", { class: "faint" }, "Nothing yet.")));
}
