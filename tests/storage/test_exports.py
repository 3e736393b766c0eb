"""The chat and the log as CSV files: whole, in order, without what was deleted, and harmless to a spreadsheet."""

import csv
import io

import pytest

from app import clock
from app.chat.copy import copy_all
from app.chat.exports import CHAT_HEAD, LOG_HEAD, csv_of_chat, csv_of_log
from app.chat.messages import delete
from app.person import Person, Standing
from tests.chat_place import chat_place

FORMULA = '=HYPERLINK("http://evil.example","click")'


@pytest.fixture
async def place(pg, valkey):
    return await chat_place(pg, valkey)


async def table(file):
    text = b"".join([portion async for portion in file]).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


async def test_the_chat_comes_whole_and_in_order_over_many_portions_without_what_was_deleted(place):
    said = [await place.say(f"message {n}") for n in range(23)]
    vile = await place.say("something vile")
    await copy_all(place.chat)
    await delete(place.chat, place.show, place.moderator, Standing.MODERATOR, vile.message)
    elsewhere = await chat_place(place.pg, place.valkey)
    await elsewhere.say("elsewhere")
    await copy_all(elsewhere.chat)
    for portion in (4, 24, 500):
        head, *rows = await table(csv_of_chat(place.pg, place.show, portion))
        assert tuple(head) == CHAT_HEAD
        assert sorted(row[1] for row in rows) == sorted([*(one.message for one in said), vile.message])
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        assert "vile" not in str(rows)
        (gone,) = [row for row in rows if row[1] == vile.message]
        assert (gone[5], gone[8]) == ("", "Mo")


async def test_no_cell_is_a_formula_whatever_people_write_or_are_called(place):
    mallory = Person("m" + clock.new_id(), "@SUM(A1)")
    await place.pg.execute("INSERT INTO accounts (id, name, name_folded) VALUES ($1, $2, $1)", mallory.id, mallory.name)
    for text in (FORMULA, "+1", "-1 is it", "@all", 'a "quoted", word'):
        assert (await place.say(text, person=mallory)).o is not None
    await copy_all(place.chat)
    await place.time_out(mallory)
    _, *rows = await table(csv_of_chat(place.pg, place.show))
    texts = {row[5] for row in rows}
    assert texts == {"'" + FORMULA, "'+1", "'-1 is it", "'@all", 'a "quoted", word'}
    head, act = await table(csv_of_log(place.pg, place.show))
    assert tuple(head) == LOG_HEAD
    assert (act[4], act[6]) == ("timeout.set", "'@SUM(A1)")
    assert not any(cell[:1] in {"=", "+", "-", "@", "\t"} for row in (*rows, act) for cell in row)


async def test_the_log_has_every_act_with_its_hash(place):
    for n in range(7):
        await place.time_out(place.viewer, 60 + n)
    stored = await place.pg.fetch(
        "SELECT n, encode(hash, 'hex') AS hash FROM moderation_acts WHERE show_id = $1 ORDER BY n", place.show
    )
    for portion in (2, 7, 500):
        _, *rows = await table(csv_of_log(place.pg, place.show, portion))
        assert [(int(row[0]), row[9]) for row in rows] == [tuple(row) for row in stored]
        assert all('"reason":"be kind"' in row[8] for row in rows)
