"""Letters that leave: into a folder or to a mail server that takes, refuses, hangs up; each event one letter."""

import asyncio
import smtplib
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from app.checkout.provider import Answer
from app.checkout.simulated import SimulatedProvider
from app.mail.postman import open_postman
from app.mail.smtp import Smtp
from app.mail.spool import Spool
from app.settings import SettingError, Settings, SmtpSettings, read_settings
from tests.storage.stock_world import open_world
from tests.storage.test_order_lists import parcel
from tests.storage.test_refunds import bought, refund


async def reader(world, email="ada@example.com"):
    """A buyer with an address."""
    buyer = await world.buyer()
    await world.pg.execute("UPDATE accounts SET email_folded = NULL WHERE email_folded = $1", email)
    await world.pg.execute("UPDATE accounts SET email_folded = $2 WHERE id = $1", buyer.account, email)
    return buyer


async def states(pg, order: str) -> dict[str, str]:
    rows = await pg.fetch("SELECT kind, state FROM mails WHERE order_id = $1 ORDER BY created_at", order)
    return {row["kind"]: row["state"] for row in rows}


def letters(folder) -> dict:
    found = [message_from_bytes(path.read_bytes(), policy=default) for path in (folder / "mail").glob("*.eml")]
    return {letter["Subject"]: letter for letter in found}


@asynccontextmanager
async def mail_server(answer):
    """A server of SMTP's few words; `answer(word)` may change what it says to one, None to hang up."""
    taken = []

    async def talk(reader, writer):
        said, inside, body = "220 hello", False, []
        while said is not None:
            writer.write(said.encode() + b"\r\n")
            line = (await reader.readline()).decode()
            while inside and line and line != ".\r\n":
                body.append(line)
                line = (await reader.readline()).decode()
            word = "." if inside else line.split(":")[0].split()[0].upper() if line.split() else ""
            if not word:
                break
            usual = {"EHLO": "250 hawker", "DATA": "354 go on", "QUIT": "221 bye"}.get(word, "250 ok")
            said = answer(word) or usual if answer(word) is not False else None
            if word == "." and said is not None and said.startswith("250"):
                taken.append("".join(body))
            inside = word == "DATA" and said is not None and said.startswith("354")
            if word == "QUIT":
                break
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        server.close()


async def test_an_order_its_parcel_and_its_refund_are_one_letter_each(pg, valkey, tmp_path):
    async with open_world(pg, valkey, data_dir=tmp_path, public_url="https://shop.example") as world:
        _, pool = await world.variant(5)
        buyer = await reader(world)
        one = await bought(world, buyer, pool)
        for _ in range(2):
            await parcel(world, one, carrier="DHL", url="https://parcel.example/1")
        await refund(world, one, 300)
        await world.settle_all()
        await world.settle_all()
        await pg.execute("UPDATE outbox SET done_at = NULL, next_try_at = now() WHERE subject LIKE '%' || $1", one)
        await world.settle_all()
        assert await states(pg, one) == {"confirmed": "sent", "shipped": "sent", "refunded": "sent"}
        found = letters(tmp_path)
        assert sorted(found) == [
            "A refund of your order at Clay",
            "Your order at Clay",
            "Your order at Clay is on its way",
        ]
        assert f"https://shop.example/orders/{one}" in found["Your order at Clay"].get_content()
        assert "3.00 EUR" in found["A refund of your order at Clay"].get_content()
        assert (tmp_path / "mail").stat().st_mode & 0o077 == 0


class Slow(SimulatedProvider):
    """Has not captured yet."""

    async def capture(self, attempt, order):
        del attempt, order
        return Answer.SILENT


async def test_who_cancels_before_the_money_is_taken_has_it_in_writing_once(pg, valkey, tmp_path):
    async with open_world(pg, valkey, data_dir=tmp_path, provider=Slow(pg, silence_s=0)) as world:
        _, pool = await world.variant(5)
        buyer = await reader(world)
        one = await bought(world, buyer, pool)
        for _ in range(2):
            assert (await buyer.post(f"/api/orders/{one}/cancel")).json()["state"] == "cancelled"
            await pg.execute("UPDATE outbox SET done_at = NULL WHERE topic = 'order.cancelled' AND subject = $1", one)
            await world.settle_all()
            await world.settle_all()
        assert await states(pg, one) == {"cancelled": "sent"}
        (letter,) = letters(tmp_path).values()
        assert letter["Subject"] == "Your order at Clay is cancelled"
        assert "you pay nothing" in letter.get_content()


async def test_who_has_no_address_is_written_nothing(pg, valkey, tmp_path):
    async with open_world(pg, valkey, data_dir=tmp_path) as world:
        _, pool = await world.variant(5)
        one = await bought(world, await world.buyer(), pool)
        await parcel(world, one, carrier="DHL")
        await world.settle_all()
        assert await states(pg, one) == {}
        strange = await bought(world, await reader(world, "x y@example.com"), pool)
        await world.settle_all()
        assert await states(pg, strange) == {"confirmed": "refused"}
        assert not (tmp_path / "mail").exists()


async def test_a_server_that_is_away_is_asked_again_and_one_that_refuses_is_not(pg, valkey):
    says = {".": "451 later"}
    async with mail_server(says.get) as (port, taken):
        server = SmtpSettings(host="127.0.0.1", port=port, tls=False)
        async with open_world(pg, valkey, smtp=server, mail_from="orders@shop.example") as world:
            _, pool = await world.variant(5)
            buyer = await reader(world)
            one = await bought(world, buyer, pool)
            await world.settle_all()
            assert await states(pg, one) == {"confirmed": "waiting"}
            says["."] = False  # it takes the letter and dies
            await world.settle_all()
            assert await states(pg, one) == {"confirmed": "waiting"}
            says.clear()
            await world.settle_all()
            assert await states(pg, one) == {"confirmed": "sent"}
            assert len(taken) == 1
            assert f"Message-ID: <confirmed-{one}@shop.example>" in taken[0]
            says["RCPT"] = "550 nobody here"
            two = await bought(world, buyer, pool)
            await world.settle_all()
            assert await states(pg, two) == {"confirmed": "refused"}
            says["RCPT"] = "450 busy"
            three = await bought(world, buyer, pool)
            await world.settle_all()
            await pg.execute("UPDATE mails SET created_at = now() - interval '73 hours' WHERE order_id = $1", three)
            await world.settle_all()
            assert await states(pg, three) == {"confirmed": "given_up"}
            assert await pg.fetchval("SELECT count(*) FROM outbox WHERE topic = 'mail' AND done_at IS NULL") == 0


async def test_a_password_does_not_go_to_a_server_without_tls(monkeypatch):
    said = []
    async with mail_server(said.append) as (port, taken):
        monkeypatch.setattr("app.mail.smtp._LOOPBACK", frozenset())
        server = SmtpSettings(host="127.0.0.1", port=port, tls=False, user="u", password="secret")
        letter = EmailMessage()
        letter["To"] = letter["From"] = "a@example.com"
        assert await Smtp(server).take(letter, "n") == "later"
        assert "AUTH" not in said
        assert taken == []


async def test_a_folder_keeps_the_newest_letters(tmp_path, monkeypatch):
    monkeypatch.setattr("app.mail.spool.LETTERS_MAX", 3)
    letter = EmailMessage()
    letter["To"] = "a@example.com"
    for name in "abcde":
        assert await Spool(tmp_path / "mail").take(letter, name) == "sent"
    assert sorted(path.name for path in (tmp_path / "mail").iterdir()) == ["c.eml", "d.eml", "e.eml"]


def test_a_mail_server_is_a_url_whose_password_nobody_prints():
    whole = read_settings({"SMTP_URL": "smtps://u%40x:p%3Aw@mail.example", "MAIL_FROM": "orders@shop.example"})
    assert (whole.smtp.host, whole.smtp.port, whole.smtp.user, whole.smtp.password) == (
        "mail.example",
        465,
        "u@x",
        "p:w",
    )
    assert "p:w" not in repr(whole)
    assert isinstance(open_postman(whole), Smtp)
    assert isinstance(open_postman(Settings()), Spool)
    assert read_settings({"SMTP_URL": "smtp://h", "MAIL_FROM": "o@s.example"}).smtp.port == 587
    for env in (
        {"SMTP_URL": "http://h", "MAIL_FROM": "o@s.example"},
        {"SMTP_URL": "smtp://", "MAIL_FROM": "o@s.example"},
        {"SMTP_URL": "smtp://h:x", "MAIL_FROM": "o@s.example"},
        {"SMTP_URL": "smtp://h"},
        {"MAIL_FROM": "orders"},
        {"MAIL_FROM": "o@s.example\nBcc: x@y.example"},
        {"PUBLIC_URL": "shop.example"},
    ):
        with pytest.raises(SettingError):
            read_settings(env)


def test_the_standard_library_still_tells_failures_apart_as_we_read_them():
    assert issubclass(smtplib.SMTPDataError, smtplib.SMTPResponseException)
    assert issubclass(smtplib.SMTPException, OSError)
