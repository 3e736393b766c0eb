"""room-client.js in a real browser against a real room: cut lines, a restarted server, a wiped Valkey, limits."""

import re
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from app import pages
from app.person import Person
from app.rooms.bus import Pace
from app.rooms.limits import COMMANDS_BURST
from tests.journeys.network import network
from tests.protocol.room_server import Number, Words, room_server
from tests.waiting import eventually, eventually_true

# A page's use of the client: everything it hears goes into `log`.
LISTEN = """
async (who) => {
  const { RoomClient } = await import("/shared/room-client.js");
  const { Draft } = await import("/shared/draft.js");
  const room = new RoomClient({ show: "show1" });
  const log = { texts: [], offsets: [], resets: 0, status: [], me: null, states: {}, hints: [], reactions: [] };
  room.on("event", (event, { offset }) => { log.texts.push(event.text); log.offsets.push(offset); });
  room.on("reset", () => { log.resets += 1; log.texts = []; log.offsets = []; });
  room.on("status", (status) => log.status.push(status));
  room.on("me", (me) => { log.me = me; });
  room.on("state", (key, value) => { log.states[key] = value; });
  room.on("hint", (hint) => log.hints.push(hint));
  room.on("reactions", (sums) => log.reactions.push(sums));
  Object.assign(window, { room, log, Draft });
  room.open();
}
"""


class Tab:
    """A browser tab with a room client in it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def log(self):
        return await self.page.evaluate("log")

    async def has(self, texts):
        async def check():
            return (await self.log())["texts"] == texts

        await eventually(check, what=f"{texts} in the tab")

    async def is_open(self, times=1):
        async def check():
            return sum(one["status"] == "open" for one in (await self.log())["status"]) >= times

        await eventually(check, 20, what="the room to be open")


@pytest_asyncio.fixture(loop_scope="session")
async def chromium_page(browser: Browser):
    @asynccontextmanager
    async def visit(server, who="ann", *, own_clock=False):
        context = await browser.new_context()
        url = f"http://127.0.0.1:{server.port}/"
        await context.add_cookies([{"name": "who", "value": who, "url": url}])
        page = await context.new_page()
        if own_clock:
            await page.clock.install()
        await page.goto(url)
        await page.evaluate(LISTEN, who)
        yield Tab(page)
        await context.close()

    return visit


async def test_a_cut_line_loses_nothing_doubles_nothing_and_answers_the_command(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        server.stage.cuts = 3  # after it is said, before it is answered: three times over
        answer = await tab.page.evaluate("room.command('say', {text: 'once'})")
        assert answer["o"] == 1
        for n in range(5):
            await server.bus.append("show1", Words(f"w{n}"))
        await tab.has(["once", *(f"w{n}" for n in range(5))])
        log = await tab.log()
        assert log["offsets"] == [1, 2, 3, 4, 5, 6]
        assert log["resets"] == 1  # the first join alone
        assert log["me"]["person"] == {"id": "ann", "name": "Ann"}


async def test_a_tab_whose_timers_are_throttled_comes_back_and_misses_nothing(valkey, chromium_page):
    """A tab in the background: no timer runs sooner than after a second."""
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        await tab.page.evaluate(
            "() => { const soon = setTimeout; window.setTimeout = (run, ms) => soon(run, Math.max(1000, ms)); }"
        )
        await server.bus.append("show1", Words("before"))
        await tab.has(["before"])
        for times in (2, 3):
            server.stage.cut_lines()
            await server.bus.append("show1", Words(f"while away {times}"))
            await tab.is_open(times)
        assert (await tab.page.evaluate("room.command('say', {text: 'still here'})"))["o"] == 4
        await tab.has(["before", "while away 2", "while away 3", "still here"])
        log = await tab.log()
        assert log["offsets"] == [1, 2, 3, 4]
        assert log["resets"] == 1


async def test_reactions_are_heard_as_sums(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        await server.bus.react("show1", {"heart": 3, "clap": 1})

        async def heard():
            return (await tab.log())["reactions"]

        assert await eventually(heard) == [{"heart": 3, "clap": 1}]


async def test_a_restarted_server_is_found_again_and_nothing_is_missing(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        await server.bus.append("show1", Words("before"))
        await tab.has(["before"])
        server.stop()

        async def told():
            return any(one.get("code") == 1012 for one in (await tab.log())["status"])

        await eventually(told)
        await server.bus.append("show1", Words("meanwhile"))
        pending = tab.page.evaluate("room.command('say', {text: 'typed while away'})")
        async with room_server(valkey, port=server.port):
            assert (await pending)["o"] == 3
            await tab.has(["before", "meanwhile", "typed while away"])
            assert (await tab.log())["resets"] == 1


async def test_a_wiped_room_starts_afresh_and_old_state_is_forgotten(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        await server.bus.set_state("show1", "pin", 9, Number(9))
        await server.bus.append("show1", Words("lost"))
        await tab.has(["lost"])
        await valkey.flushall()
        await server.bus.append("show1", Words("new"))
        await tab.has(["new"])
        log = await tab.log()
        assert (log["resets"], log["states"]) == (2, {"pin": None})
        await server.bus.set_state("show1", "pin", 1, Number(1))

        async def newer():
            return (await tab.log())["states"] == {"pin": {"n": 1}}

        await eventually(newer)


async def test_a_hole_in_what_the_server_sends_is_resumed_over(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        room = server.hub._rooms["show1"].room
        (viewer,) = room.viewers
        await server.bus.append("show1", Words("1"))
        await tab.has(["1"])
        room.demote(viewer)
        await server.bus.append("show1", Words("2"))
        await eventually_true(lambda: room.flushed == 2)  # a frame that never reached the tab
        room.promote(viewer)
        await server.bus.append("show1", Words("3"))
        await tab.has(["1", "2", "3"])
        log = await tab.log()
        assert log["offsets"] == [1, 2, 3]
        assert [one["code"] for one in log["status"] if "code" in one] == [4100]


async def test_a_refused_text_is_kept_and_counts_down_until_it_may_be_sent(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server, own_clock=True) as tab:
        await tab.is_open()
        server.stage.pace = Pace(60_000, 1)
        told = await tab.page.evaluate(
            """async () => {
              window.draft = new Draft(room, "say");
              draft.text = "first";
              const taken = await draft.send();
              draft.text = "second";
              const refused = await draft.send();
              const kept = { text: draft.text, error: draft.error, retry: draft.retry_in_ms };
              const tooEarly = await draft.send();
              window.views = [];
              draft.on = (view) => views.push(view);
              return { taken, refused, kept, tooEarly };
            }"""
        )
        assert (told["taken"], told["refused"], told["tooEarly"]) == (True, False, False)
        assert told["kept"]["text"] == "second"
        assert told["kept"]["error"]["code"] == "too_fast"
        assert 0 < told["kept"]["retry"] <= 60_000
        server.stage.pace = Pace(60_000, 1, "later")
        await tab.page.clock.fast_forward(60_000)
        await tab.page.wait_for_function("views.at(-1)?.retry_in_ms === null")
        assert await tab.page.evaluate("draft.send()") is True
        assert await tab.page.evaluate("[draft.text, views.at(-1).error]") == ["", None]
        await tab.has(["first", "second"])


async def test_what_was_pasted_is_refused_or_mended_and_never_costs_the_room(valkey, chromium_page):
    """The server closes for good on a frame over 16 KiB, and on JSON with half of a surrogate pair."""
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        long = await tab.page.evaluate(
            """async () => {
              const draft = new Draft(room, "say");
              draft.text = "\u20ac".repeat(6000);  // few characters, many bytes
              const taken = await draft.send();
              return { taken, kept: draft.text.length, code: draft.error.code, retry: draft.retry_in_ms };
            }"""
        )
        assert long == {"taken": False, "kept": 6000, "code": "too_long", "retry": None}
        await tab.page.evaluate("room.command('say', {text: 'half \\ud83d, whole \\ud83d\\ude00'})")
        await tab.has(["half \ufffd, whole \U0001f600"])
        assert [one["status"] for one in (await tab.log())["status"]] == ["connecting", "open"]


async def test_a_close_for_good_ends_the_room_and_every_waiting_command(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        await server.bus.signed_out("ann", "session of ann")

        async def closed():
            return (await tab.log())["status"][-1].get("code") == 4001

        await eventually(closed)
        code = await tab.page.evaluate("room.command('echo', {text: 'x'}).catch((refusal) => refusal.code)")
        assert code == "disconnected"


async def test_a_dead_network_is_noticed_by_who_speaks_and_the_text_arrives_once(valkey, chromium_page):
    """No close ever comes: the command waited for its answer for good."""
    async with (
        room_server(valkey) as server,
        network(server.port) as line,
        chromium_page(line, own_clock=True) as tab,
    ):
        await tab.is_open()
        line.go_dark()
        await tab.page.evaluate("() => { window.answer = room.command('say', {text: 'into the dark'}); }")
        await server.bus.append("show1", Words("unheard"))
        line.come_back()
        await tab.page.clock.fast_forward(16_000)
        assert (await tab.page.evaluate("answer"))["o"] == 2
        await tab.has(["unheard", "into the dark"])
        log = await tab.log()
        assert (log["offsets"], log["resets"]) == ([1, 2], 1)


async def test_when_the_network_is_back_the_room_is_resumed_whatever_its_old_line_pretends(valkey, chromium_page):
    """Who only watches says nothing that could go unanswered, and would have watched a dead line for minutes."""
    async with room_server(valkey) as server, network(server.port) as line, chromium_page(line) as tab:
        await tab.is_open()
        line.go_dark()
        await server.bus.append("show1", Words("unheard"))
        await eventually_true(lambda: server.hub._rooms["show1"].room.flushed == 1)
        line.come_back()
        await tab.page.context.set_offline(True)
        await tab.page.context.set_offline(False)
        await tab.has(["unheard"])
        log = await tab.log()
        assert (log["offsets"], log["resets"]) == ([1], 1)


async def test_a_frozen_tab_catches_up_when_it_is_looked_at_again(valkey, chromium_page):
    """The browser stops a page in the background altogether; its line may be gone when it goes on."""
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        devtools = await tab.page.context.new_cdp_session(tab.page)
        await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
        await server.bus.append("show1", Words("1"))
        server.stage.cut_lines()
        await eventually_true(lambda: not server.hub._rooms["show1"].room.viewers)
        await server.bus.append("show1", Words("2"))
        await devtools.send("Page.setWebLifecycleState", {"state": "active"})
        await tab.has(["1", "2"])
        log = await tab.log()
        assert (log["offsets"], log["resets"]) == ([1, 2], 1)


async def test_an_overloaded_server_is_left_alone_for_as_long_as_it_asks_and_a_little_more(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        (viewer,) = server.hub._rooms["show1"].room.viewers
        viewer.wire.close(1013, "700")
        await tab.is_open(2)
        (waiting,) = [one for one in (await tab.log())["status"] if one["status"] == "waiting"]
        assert waiting["code"] == 1013
        assert 700 <= waiting["retry_in_ms"] <= 700 + 250


async def test_the_wait_before_a_try_is_anything_up_to_a_ceiling_that_doubles(valkey, chromium_page):
    """Full jitter: ten thousand pages that lost one server do not come back together."""
    async with room_server(valkey) as server, chromium_page(server) as tab:
        waits = await tab.page.evaluate(
            """async () => {
              const { backoff } = await import("/shared/room-client.js");
              return Array.from({ length: 13 }, (_, failures) => ({
                bounds: [backoff(failures, () => 0), backoff(failures, () => 1)],
                drawn: Array.from({ length: 400 }, () => backoff(failures)),
              }));
            }"""
        )
    ceilings = [min(15_000, 250 * 2**failures) for failures in range(13)]
    assert [one["bounds"] for one in waits] == [[0, ceiling] for ceiling in ceilings]
    for one, ceiling in zip(waits, ceilings, strict=True):
        quarters = Counter(int(drawn * 4 / ceiling) for drawn in one["drawn"])
        assert set(quarters) == {0, 1, 2, 3}
        assert min(quarters.values()) > 40  # 100 are to be expected


FOR_GOOD = [(4000, ""), (4004, ""), (4099, ""), (1009, "")]
FOR_NOW = [(4100, ""), (4108, "slow"), (1006, ""), (1001, "")]
WITH_A_DELAY = [(1012, "1999"), (1013, "5000"), (1013, "soon"), (1000, "700")]
CLOSES = FOR_GOOD + FOR_NOW + WITH_A_DELAY


async def test_which_closes_are_for_good(valkey, chromium_page):
    async with room_server(valkey) as server, chromium_page(server) as tab:
        told = await tab.page.evaluate(
            """async (closes) => {
              const { afterClose } = await import("/shared/room-client.js");
              return closes.map(([code, reason]) => afterClose(code, reason));
            }""",
            CLOSES,
        )
    assert [one["again"] for one in told] == [False] * 4 + [True] * 8
    assert [one["delay_ms"] for one in told] == [0] * 8 + [1999, 5000, 0, 0]


@pytest.mark.parametrize("moment", ["connecting", "open", "waiting"])
async def test_a_room_that_is_closed_by_who_hears_of_its_state_stays_closed(valkey, chromium_page, moment):
    """The client went on where it had been: to the next try, or to sending through a socket that it had let go."""
    async with room_server(valkey) as server, chromium_page(server, own_clock=True) as tab:
        await tab.is_open()
        await tab.page.evaluate(
            "(moment) => { room.on('status', ({status}) => { if (status === moment) room.close(); }); }", moment
        )
        server.stage.cut_lines()

        async def closed():
            return (await tab.log())["status"][-1]["status"] == "closed"

        await eventually(closed)
        assert await tab.page.evaluate("room.isOpen") is False
        await eventually_true(lambda: server.hub.sockets_of("ann") == 0)
        before = await tab.log()
        await tab.page.clock.run_for(20_000)  # longer than any try waits
        assert (await tab.log())["status"] == before["status"]


async def test_a_room_closed_and_opened_while_its_ticket_is_fetched_has_one_socket(valkey, chromium_page):
    """Both tries got a socket, and one of them stayed with nobody to hear it."""
    async with room_server(valkey) as server, chromium_page(server) as tab:
        await tab.is_open()
        server.people.tickets = {f"{name}@show1": Person(name, name, name) for name in "ab"}
        await tab.page.evaluate("""async () => {
            room.close();
            const { RoomClient } = await import("/shared/room-client.js");
            const waiting = [];
            const ticket = () => new Promise((resolve) => waiting.push(resolve));
            const second = new RoomClient({ show: "show1", ticket });
            const open = new Promise((done) => second.on("status", ({ status }) => status === "open" && done()));
            for (const act of ["open", "close", "open"]) second[act]();
            waiting[1]("b");
            await new Promise((done) => setTimeout(done));
            waiting[0]("a");
            await open;
        }""")
        await eventually_true(lambda: server.hub.sockets_of("ann") == 0)
        assert (server.hub.sockets_of("a"), server.hub.sockets_of("b")) == (0, 1)


def test_what_a_client_repeats_after_a_reconnect_is_never_too_fast_for_the_server():
    source = (Path(pages.__file__).parent / "shared" / "room-client.js").read_text()
    found = re.search(r"const UNANSWERED_MAX = (\d+);", source)
    assert found is not None
    assert int(found[1]) < COMMANDS_BURST
