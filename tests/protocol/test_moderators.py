"""Who moderates a show, or all shows of its shop: appointed and dismissed by the host."""

import pytest

from app import clock
from app.accounts.sign_in import view_session
from app.rooms.bus import staff_room
from app.streams import moderators
from tests.protocol.callers import problem, somebody
from tests.protocol.show_stage import Stage


@pytest.fixture
async def stage(pg, valkey):
    stage = await Stage(pg, valkey).open()
    yield stage
    stage.close()


async def test_a_moderator_is_appointed_by_name_and_dismissed_and_the_staff_hear_it(stage, pg):
    show = await stage.show("start")
    name = f"Kim {clock.new_id()}"
    kim = await somebody(stage.app, stage.accounts, name)
    path = f"/api/shows/{show}/moderators"
    for _ in range(2):
        answer = await stage.host.ask("PUT", path, {"name": name.upper()})
        plain = {"id": kim.account, "name": name, "lead": False, "everywhere": False}
        assert answer.json() == {"moderators": [plain]}
    assert (await kim.get(f"/api/shows/{show}")).json()["standing"] == "moderator"
    assert (await stage.host.ask("DELETE", f"{path}/{kim.account}")).status_code == 204
    assert (await stage.host.ask("DELETE", f"{path}/{kim.account}")).status_code == 204
    assert (await stage.host.get(path)).json() == {"moderators": []}
    assert (await kim.get(f"/api/shows/{show}")).json()["standing"] == "viewer"
    events, _ = await stage.told(staff_room(show))
    assert [(event["t"], event["act"], event["target"]["id"]) for event in events] == [
        ("act", "appoint", kim.account),
        ("act", "dismiss", kim.account),
    ]
    acts = await pg.fetch("SELECT act FROM moderation_acts WHERE show_id = $1 ORDER BY n", show)
    assert [row["act"] for row in acts] == ["appoint", "dismiss"]


async def test_a_lead_is_made_of_a_moderator_and_one_of_the_shop_serves_in_all_its_shows(stage):
    show, other = await stage.show("start"), await stage.show("start")
    name = f"Kim {clock.new_id()}"
    kim = await somebody(stage.app, stage.accounts, name)

    async def appoint(**how) -> None:
        assert (await stage.host.ask("PUT", f"/api/shows/{show}/moderators", {"name": name} | how)).is_success

    async def standings() -> list[str]:
        return [(await kim.get(f"/api/shows/{one}")).json()["standing"] for one in (show, other)]

    await appoint()
    await appoint(lead=True)
    assert await standings() == ["lead", "viewer"]
    await appoint(everywhere=True)
    assert await standings() == ["lead", "moderator"]
    await appoint(everywhere=True, lead=True)
    assert await standings() == ["lead", "lead"]
    listed = (await stage.host.get(f"/api/shows/{show}/moderators")).json()["moderators"]
    assert [(one["lead"], one["everywhere"]) for one in listed] == [(True, False), (True, True)]
    session = await view_session(stage.accounts, kim.account, None)
    served = [one.show for one in session.moderates]
    assert (served.count(show), served.count(other)) == (1, 1)
    await stage.host.ask("DELETE", f"/api/shows/{other}/moderators/{kim.account}?everywhere=1")
    assert await standings() == ["lead", "viewer"]
    await stage.host.ask("DELETE", f"/api/shows/{show}/moderators/{stage.host.account}?everywhere=1")
    assert (await stage.host.get(f"/api/shows/{show}")).json()["standing"] == "host"


async def test_a_full_show_takes_no_more_moderators_and_still_makes_leads_of_those_it_has(stage, monkeypatch):
    show = await stage.show()
    path, names = f"/api/shows/{show}/moderators", [f"Kim {clock.new_id()}" for _ in range(2)]
    for name in names:
        await somebody(stage.app, stage.accounts, name)
    monkeypatch.setattr(moderators, "MODERATORS_MAX", 1)
    for everywhere in (False, True):
        how = {"everywhere": everywhere}
        assert (await stage.host.ask("PUT", path, {"name": names[0]} | how)).is_success
        assert problem(await stage.host.ask("PUT", path, {"name": names[1]} | how)) == (409, "too_many")
        assert (await stage.host.ask("PUT", path, {"name": names[0], "lead": True} | how)).is_success


async def test_nobody_unknown_and_no_host_becomes_a_moderator(stage):
    show = await stage.show()
    path = f"/api/shows/{show}/moderators"
    assert problem(await stage.host.ask("PUT", path, {"name": "Nobody at all"})) == (404, "unknown_person")
    assert problem(await stage.host.ask("PUT", path, {"email": "no address"})) == (404, "unknown_person")
    assert problem(await stage.host.ask("PUT", path, {})) == (400, "malformed")
    me = await stage.pg.fetchval("SELECT name FROM accounts WHERE id = $1", stage.host.account)
    assert problem(await stage.host.ask("PUT", path, {"name": me})) == (409, "is_host")
