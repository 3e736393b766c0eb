"""Letters to a real mail server: by STARTTLS, by TLS, refused, in the wrong hands; and one that comes to no end."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from app.mail import smtp
from app.mail.sent import Sent
from app.mail.smtp import Smtp
from app.settings import SmtpSettings
from deploy.self_signed import make

GUARD_S = 60
# The library does not see that a connection which began with TLS has it.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


class Mailbox:
    """What a server took, by whom it was signed in, and what it answers to a recipient."""

    def __init__(self) -> None:
        self.taken = []
        self.signed_in = []
        self.to_recipient = "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802  the library's word
        envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802
        letter = message_from_bytes(envelope.content, policy=default)
        self.taken.append((envelope.rcpt_tos, letter, session.ssl is not None))
        return "250 OK"

    def sign_in(self, _server, _session, _envelope, _mechanism, said):
        self.signed_in.append((said.login, said.password))
        return AuthResult(success=said.password == b"right", handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    make(folder, ["127.0.0.1"], datetime.now(UTC))
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return ours, ssl.create_default_context(cafile=folder / "cert.pem")


@asynccontextmanager
async def mail_server(certificate, *, tls: bool):
    """A server that takes letters over TLS alone, from who is signed in."""
    box, loop = Mailbox(), asyncio.get_running_loop()
    known = {"authenticator": box.sign_in, "auth_required": True, "hostname": "mail.example", "loop": loop}
    if tls:
        server = await loop.create_server(
            lambda: SMTP(box, auth_require_tls=False, **known), "127.0.0.1", 0, ssl=certificate[0]
        )
    else:
        server = await loop.create_server(
            lambda: SMTP(box, tls_context=certificate[0], require_starttls=True, **known), "127.0.0.1", 0
        )
    try:
        yield box, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def letter() -> EmailMessage:
    one = EmailMessage()
    one["From"], one["To"], one["Subject"] = "orders@shop.example", "ada@example.com", "Your order: café"
    one.set_content("Grüße\n.\nand a line with a dot alone before it\n")
    return one


def postman(port: int, trust, *, tls: bool, password="right") -> Smtp:
    server = SmtpSettings(host="127.0.0.1", port=port, tls=tls, user="shop", password=password)
    return Smtp(server, trust=trust)


@pytest.mark.parametrize("tls", [False, True])
async def test_a_letter_goes_over_tls_alone_and_arrives_as_it_was_written(certificate, tls):
    async with mail_server(certificate, tls=tls) as (box, port), asyncio.timeout(GUARD_S):
        assert await postman(port, certificate[1], tls=tls).take(letter(), "n") is Sent.SENT
        ((to, found, encrypted),) = box.taken
        assert to == ["ada@example.com"]
        written = letter()
        assert found["Subject"] == written["Subject"]
        assert found.get_content().splitlines() == written.get_content().splitlines()
        assert encrypted is not tls  # by STARTTLS; else the whole connection is
        assert box.signed_in == [(b"shop", b"right")]
        box.to_recipient = "550 nobody here"
        assert await postman(port, certificate[1], tls=tls).take(letter(), "n") is Sent.REFUSED
        box.to_recipient = "451 not now"
        assert await postman(port, certificate[1], tls=tls).take(letter(), "n") is Sent.LATER


@pytest.mark.parametrize("tls", [False, True])
async def test_a_server_whose_certificate_nobody_knows_is_told_nothing(certificate, tls):
    async with mail_server(certificate, tls=tls) as (box, port), asyncio.timeout(GUARD_S):
        stranger = ssl.create_default_context()
        assert await postman(port, stranger, tls=tls).take(letter(), "n") is Sent.LATER
        assert (box.taken, box.signed_in) == ([], [])


async def test_a_wrong_password_is_not_the_letters_fault(certificate):
    async with mail_server(certificate, tls=False) as (box, port), asyncio.timeout(GUARD_S):
        assert await postman(port, certificate[1], tls=False, password="wrong").take(letter(), "n") is Sent.LATER
        assert box.taken == []


@pytest.mark.parametrize("says", ["", "220-wait\r\n"])
async def test_a_server_that_never_comes_to_an_end_is_left(monkeypatch, says):
    """It said a little in time again and again, and kept its thread and its place in the lane for ever."""
    monkeypatch.setattr(smtp, "LETTER_S", 0.3)
    hung_up = asyncio.Event()

    async def talk(reader, writer):
        async def go_on():
            while says:
                writer.write(says.encode())
                await writer.drain()
                await asyncio.wait({asyncio.ensure_future(hung_up.wait())}, timeout=0.05)

        talking = asyncio.ensure_future(go_on())
        await reader.read()
        hung_up.set()
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    to_it = SmtpSettings(host="127.0.0.1", port=server.sockets[0].getsockname()[1], tls=False)
    async with asyncio.timeout(GUARD_S):
        assert await Smtp(to_it).take(letter(), "n") is Sent.LATER
        await hung_up.wait()
    server.close()
