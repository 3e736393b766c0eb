"""WHIP and WHEP over HTTP: a test for each line of the endpoint and session rules, with real offers."""

import gc

import pytest

from app import clock
from app.accounts.register import create_account
from app.http.credentials import SESSION_COOKIE, csrf_token
from app.refusal import Refusal
from app.settings import Settings
from app.streams.media_control import MediaControl
from app.streams.relay.dtls import Handshake
from app.streams.relay.session import Session
from tests.protocol.callers import problem
from tests.protocol.media_peers import SDP, Client, Publisher, Viewer, bearer
from tests.protocol.media_site import MediaSite, media_site
from tests.waiting import eventually, eventually_true

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def site(pg, valkey):
    async with media_site(pg, valkey) as running:
        yield running


async def published(site: MediaSite) -> tuple[Publisher, str, str]:
    """A publisher that is connected."""
    show, key = await site.show()
    publisher = Publisher(site.http)
    assert (await publisher.publish(show, key)).status_code == 201

    async def connected() -> bool:
        return (await site.control.show(show)).publishing

    await eventually(connected)
    return publisher, show, key


# The endpoint.


async def test_a_post_makes_a_session_with_location_and_a_strong_unique_etag(site: MediaSite):
    publisher, show, _ = await published(site)
    viewer = Viewer(site.http)
    answer = await viewer.watch(show)
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/sdp"
    for client, place in ((publisher, "whip"), (viewer, "whep")):
        assert client.session.startswith(f"/{place}/{show}/")
        assert len(client.session.rpartition("/")[2]) >= 22, "128 bits and more"
        assert client.etag.startswith('"')
    assert publisher.etag != viewer.etag
    await viewer.peer.close()
    await publisher.peer.close()


@pytest.mark.parametrize("place", ["whip", "whep"])
@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"v=0", {"Content-Type": "text/plain"}, (415, "content_type")),
        (b"v=0", {"Content-Type": ""}, (415, "content_type")),
        (b"{}", {"Content-Type": "application/json"}, (415, "content_type")),
        (b"", SDP, (400, "sdp_malformed")),
        (b"garbage", SDP, (400, "sdp_malformed")),
        (b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", SDP, (400, "sdp_malformed")),
        (b"\xff\xfe", SDP, (400, "sdp_malformed")),
        (b"\x00" * 100, SDP, (400, "sdp_malformed")),
        (b"v" * (64 * 1024 + 1), SDP, (413, "too_large")),
    ],
)
async def test_a_bad_offer_is_refused_for_what_it_is(site: MediaSite, place: str, body, headers, expected):
    publisher, show, key = await published(site)
    path = f"/{place}/{show}" + ("?takeover=1" if place == "whip" else "")
    answer = await site.http.post(path, content=body, headers={**headers, **bearer(key)})
    assert problem(answer) == expected
    assert (await site.control.stats()).sessions == 1, "nothing half accepted"
    await publisher.peer.close()


@pytest.mark.parametrize("place", ["whip", "whep"])
async def test_get_and_head_have_nothing_to_show_and_other_methods_are_not_there(site: MediaSite, place: str):
    show, _ = await site.show()
    for method in ("GET", "HEAD"):
        answer = await site.http.request(method, f"/{place}/{show}")
        assert answer.is_success
        assert answer.content == b""
    assert (await site.http.post(f"/{place}/{show}/")).status_code == 404, "an offer is never sent on by a redirect"
    answer = await site.http.put(f"/{place}/{show}")
    assert answer.status_code == 405
    assert {"POST", "OPTIONS"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("place", ["whip", "whep"])
async def test_options_need_no_proof_and_say_what_is_taken(site: MediaSite, place: str):
    show, _ = await site.show()
    answer = await site.http.options(f"/{place}/{show}")
    assert answer.status_code == 200
    assert answer.headers["Accept-Post"] == "application/sdp"
    preflight = await site.http.options(
        f"/{place}/{show}/abc",
        headers={
            "Origin": "https://player.example",
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, content-type, if-match",
        },
    )
    assert preflight.is_success
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    for header in ("Authorization", "Content-Type", "If-Match"):
        assert header in preflight.headers["Access-Control-Allow-Headers"]
    assert "Link" not in preflight.headers


async def test_a_foreign_page_may_read_location_and_etag(site: MediaSite):
    publisher, show, _ = await published(site)
    viewer = Viewer(site.http)
    answer = await viewer.post(f"/whep/{show}", Origin="https://player.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert {"Location", "ETag", "Link"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))
    await viewer.peer.close()
    await publisher.peer.close()


async def test_the_answer_offers_where_the_request_arrived(site: MediaSite):
    publisher, _, _ = await published(site)
    sdp = publisher.peer.remoteDescription.sdp
    assert f"127.0.0.1 {site.settings.media_port} typ host" in sdp
    await publisher.peer.close()


async def test_a_publisher_that_only_receives_cannot_be_served(site: MediaSite):
    show, key = await site.show()
    viewer = Viewer(site.http)
    assert problem(await viewer.post(f"/whip/{show}", **bearer(key))) == (422, "sdp_unserved")
    await viewer.peer.close()


async def test_publishing_needs_a_bearer_and_the_right_one(site: MediaSite):
    show, key = await site.show()
    _, other_key = await site.show()
    publisher = Publisher(site.http)
    offer = await publisher.offer()

    async def post(**headers: str):
        return await site.http.post(f"/whip/{show}", content=offer, headers={**SDP, **headers})

    answer = await post()
    assert problem(answer) == (401, "sign_in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert problem(await post(**bearer("nonsense"))) == (401, "sign_in")
    assert problem(await post(**bearer(other_key))) == (403, "forbidden")
    assert problem(await post(Authorization="Basic abc")) == (401, "sign_in")
    assert (await post(**bearer(key))).status_code == 201
    await publisher.peer.close()


async def test_a_key_that_is_made_anew_while_its_offer_is_on_the_way_opens_nothing(site: MediaSite, monkeypatch):
    show, key = await site.show()
    create = site.control.create

    async def made_anew_first(wanted):
        await site.pg.execute("UPDATE stream_keys SET key_hash = sha256('another') WHERE show_id = $1", show)
        assert await site.control.end_sessions(show, owner="key") == 0
        return await create(wanted)

    monkeypatch.setattr(site.control, "create", made_anew_first)
    publisher = Publisher(site.http)
    assert problem(await publisher.publish(show, key)) == (401, "sign_in")
    assert (await site.control.stats()).sessions == 0
    await publisher.peer.close()


async def test_a_host_publishes_by_cookie_with_the_csrf_token_from_an_own_page(site: MediaSite):
    show, _ = await site.show()
    other, _ = await site.show()
    secret, stranger = await site.host(show), await site.host(other)
    publisher = Publisher(site.http)
    offer = await publisher.offer()

    async def post(cookie: str, **headers: str):
        headers = {**SDP, "Cookie": f"{SESSION_COOKIE}={cookie}", **headers}
        return await site.http.post(f"/whip/{show}", content=offer, headers=headers)

    assert problem(await post(secret)) == (403, "csrf")
    token = {"X-CSRF-Token": csrf_token(secret)}
    assert problem(await post(secret, **token, Origin="https://evil.example")) == (401, "sign_in")
    assert problem(await post(stranger, **{"X-CSRF-Token": csrf_token(stranger)})) == (404, "not_found")
    assert (await post(secret, **token, Origin=site.url)).status_code == 201
    assert problem(await post(secret, **token)) == (409, "publisher_present")
    await publisher.peer.close()


async def test_a_second_publisher_is_refused_while_the_first_sends(site: MediaSite):
    publisher, show, key = await published(site)
    secret = await site.host(show)
    second = Publisher(site.http)
    answer = await second.post(
        f"/whip/{show}", Cookie=f"{SESSION_COOKIE}={secret}", **{"X-CSRF-Token": csrf_token(secret)}
    )
    assert problem(answer) == (409, "publisher_present")
    assert problem(await Publisher(site.http).publish(show, key)) == (409, "publisher_present")
    assert (await site.http.get(publisher.session)).status_code == 204
    await second.peer.close()
    await publisher.peer.close()


async def test_the_same_key_takes_over_without_asking_once_nothing_has_been_sent_for_a_second(site: MediaSite):
    publisher, show, key = await published(site)
    for sender in publisher.peer.getSenders():
        await sender.stop()
    second = Publisher(site.http)
    offer = await second.offer()

    async def taken_over() -> bool:
        answer = await site.http.post(f"/whip/{show}", content=offer, headers={**SDP, **bearer(key)})
        return answer.status_code == 201

    assert not await taken_over()
    assert await eventually(taken_over)
    await second.peer.close()
    await publisher.peer.close()


@pytest.mark.parametrize("state", ["scheduled", "rehearsal", "ended"])
async def test_a_show_that_is_not_live_cannot_be_watched_yet(site: MediaSite, state: str):
    show, _ = await site.show(state)
    viewer = Viewer(site.http)
    answer = await viewer.watch(show)
    assert problem(answer) == (409, "not_live")
    assert int(answer.headers["Retry-After"]) >= 1
    await viewer.peer.close()


async def test_who_is_banned_and_signed_in_opens_no_session_and_others_do(site: MediaSite):
    publisher, show, _ = await published(site)
    account = await create_account(site.pg, name=clock.new_id(), email=None, password_hash=None)
    secret = await site.accounts.sessions.open(account)
    await site.pg.execute(
        "INSERT INTO sanctions (id, shop_id, account_id, kind, by_account_id)"
        " SELECT $1, shop_id, $2, 'ban', $2 FROM shows WHERE id = $3",
        clock.new_id(),
        account,
        show,
    )
    viewer = Viewer(site.http)
    for proof in ({"Cookie": f"{SESSION_COOKIE}={secret}"}, {"Authorization": f"Bearer {secret}"}):
        assert problem(await viewer.post(f"/whep/{show}", **proof)) == (403, "banned")
    assert (await viewer.watch(show)).status_code == 201
    await viewer.peer.close()
    await publisher.peer.close()


async def test_a_live_show_without_a_publisher_says_when_to_ask_again(site: MediaSite):
    show, _ = await site.show()
    answer = await Viewer(site.http).watch(show)
    assert problem(answer) == (409, "not_live")
    assert answer.headers["Retry-After"] == "1"


async def test_a_show_that_has_ended_takes_no_publisher(site: MediaSite):
    show, key = await site.show("ended")
    assert problem(await Publisher(site.http).publish(show, key)) == (409, "show_ended")


async def test_a_show_that_is_not_there_is_not_found(site: MediaSite):
    assert problem(await Viewer(site.http).watch("nowhere")) == (404, "not_found")


# The session.


async def test_a_deleted_session_is_gone_for_everybody(site: MediaSite):
    publisher, show, key = await published(site)
    viewer = Viewer(site.http)
    await viewer.watch(show)
    for client, headers in ((viewer, {}), (publisher, bearer(key))):
        assert (await site.http.get(client.session)).content == b""
        assert (await site.http.delete(client.session, headers=headers)).is_success
        assert problem(await site.http.delete(client.session, headers=headers)) == (404, "not_found")
        assert problem(await site.http.get(client.session)) == (404, "not_found")
        patched = await site.http.patch(
            client.session, content="a=mid:0\r\n", headers={**FRAGMENT, **headers, "If-Match": "*"}
        )
        assert problem(patched) == (404, "not_found")
        await client.peer.close()


async def test_of_a_deleted_session_nothing_is_left_in_memory(site: MediaSite):
    publisher, show, _ = await published(site)
    viewer = Viewer(site.http)
    await viewer.watch(show)
    await viewer.see(1)

    def sessions() -> int:
        gc.collect()
        return sum(isinstance(one, Session | Handshake) for one in gc.get_objects())

    before = sessions()
    assert (await site.http.delete(viewer.session)).is_success
    await eventually_true(lambda: sessions() == before - 2, what="its session and its handshake are gone")
    await viewer.peer.close()
    await publisher.peer.close()


async def test_a_stranger_learns_nothing_of_a_session(site: MediaSite):
    publisher, show, _ = await published(site)
    other, other_key = await site.show()
    identity = publisher.session.rpartition("/")[2]
    assert problem(await site.http.delete(publisher.session, headers=bearer(other_key))) == (404, "not_found")
    assert problem(await site.http.delete(publisher.session)) == (401, "sign_in")
    for headers, told in (({}, (401, "sign_in")), (bearer(other_key), (404, "not_found"))):
        patch = {**FRAGMENT, **headers, "If-Match": publisher.etag}
        assert problem(await site.http.patch(publisher.session, content=fragment_of(publisher), headers=patch)) == told
    for path in (f"/whip/{other}/{identity}", f"/whep/{show}/{identity}"):
        assert problem(await site.http.delete(path, headers=bearer(other_key))) == (404, "not_found")
    assert (await site.http.get(publisher.session)).status_code == 204
    await publisher.peer.close()


def fragment_of(client: Client, *lines: str) -> str:
    """A fragment with the client's own credentials."""
    sdp = client.peer.localDescription.sdp
    credentials = [line for line in sdp.splitlines() if line.startswith(("a=ice-ufrag", "a=ice-pwd"))][:2]
    return "\r\n".join([*credentials, "m=video 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *lines]) + "\r\n"


async def test_trickled_candidates_are_taken_under_the_sessions_etag(site: MediaSite):
    publisher, show, _ = await published(site)
    viewer = Viewer(site.http)
    await viewer.watch(show)
    body = fragment_of(viewer, "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host", "a=end-of-candidates")

    async def patch(content: str = body, **headers: str):
        return await site.http.patch(viewer.session, content=content, headers={**FRAGMENT, **headers})

    taken = await patch(**{"If-Match": viewer.etag})
    assert (taken.status_code, taken.content) == (204, b"")
    assert problem(await patch()) == (428, "precondition_required")
    assert problem(await patch(**{"If-Match": '"stale"'})) == (412, "precondition_failed")
    assert problem(await patch("garbage", **{"If-Match": viewer.etag})) == (400, "sdp_malformed")
    wrong = await patch(**{"If-Match": viewer.etag, "Content-Type": "application/sdp"})
    assert problem(wrong) == (415, "content_type")
    assert (await site.http.get(viewer.session)).status_code == 204, "the session lives"
    await viewer.see(2)
    await viewer.peer.close()
    await publisher.peer.close()


async def test_an_ice_restart_gets_credentials_and_the_old_pair_lives_until_they_are_used(site: MediaSite):
    publisher, show, _ = await published(site)
    viewer = Viewer(site.http)
    await viewer.watch(show)
    await viewer.see(2)
    body = "a=ice-ufrag:restarted\r\na=ice-pwd:restartedrestartedrestarted\r\n"

    async def restart(content: str = body, if_match: str = "*"):
        return await site.http.patch(viewer.session, content=content, headers={**FRAGMENT, "If-Match": if_match})

    assert problem(await restart(if_match=viewer.etag)) == (412, "precondition_failed")
    assert problem(await restart("a=ice-ufrag:restarted\r\n")) == (400, "sdp_malformed")
    await viewer.see(2)  # neither did any harm
    answer = await restart()
    assert answer.status_code == 200
    assert answer.headers["ETag"] != viewer.etag
    assert "a=ice-ufrag:" in answer.text
    assert "a=ice-pwd:" in answer.text
    await viewer.see(5)
    await viewer.peer.close()
    await publisher.peer.close()


async def test_a_media_role_that_is_away_is_said_to_be(short_folder):
    control = MediaControl(Settings(data_dir=short_folder / "nobody"))
    answer = await control.end_sessions("show")
    assert isinstance(answer, Refusal)
    assert answer.code == "unavailable"
    await control.aclose()
