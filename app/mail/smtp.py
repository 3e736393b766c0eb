"""Letters to an SMTP server, by the standard library's client in a thread: few, and nobody waits for them.

A password never goes out in the clear: without TLS a server that is not on this machine gets none. An answer of 5xx is
for good, every other failure for now; a server that neither takes the letter nor hangs up is left after LETTER_S. One
that took a letter and died before it said so is given it again; the letter's Message-ID is the same then, by which
receivers know a repetition.
"""

import asyncio
import contextlib
import smtplib
import socket
import ssl
from email.message import EmailMessage
from typing import Any, Final

import structlog

from app.mail.sent import Sent
from app.settings import SmtpSettings

TIMEOUT_S: Final = 20.0
"""Without a word from the server."""
LETTER_S: Final = 90.0
"""For one letter in all: a server that says a little for ever has a word in time each time."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

log = structlog.get_logger()


class NotSecret(Exception):  # noqa: N818  it names the reason
    """The server offers no TLS, and there is a password to be sent."""


class _Watched:
    """Tells `watch` of itself before it connects, so that another thread can end it."""

    def __init__(self, watch: list[smtplib.SMTP], *args: Any, **options: Any) -> None:
        assert isinstance(self, smtplib.SMTP)
        watch.append(self)
        super().__init__(*args, **options)


class _Open(_Watched, smtplib.SMTP):
    """In the clear, until STARTTLS."""


class _Secret(_Watched, smtplib.SMTP_SSL):
    """TLS from the first byte."""


class Smtp:
    """One connection a letter."""

    def __init__(self, settings: SmtpSettings, *, trust: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._trust = trust or ssl.create_default_context()

    async def take(self, letter: EmailMessage, name: str) -> Sent:
        """How it went; nothing is raised for what a server or the network does."""
        try:
            await self._send_in_time(letter)
        except smtplib.SMTPRecipientsRefused as refused:
            codes = [code for code, _ in refused.recipients.values()]
            return self._failed(name, refused, for_good=all(500 <= code < 600 for code in codes))
        except smtplib.SMTPResponseException as answered:
            # A refused sign-in is ours to mend, not the letter's fault.
            of_letter = isinstance(answered, smtplib.SMTPDataError | smtplib.SMTPSenderRefused)
            return self._failed(name, answered, for_good=of_letter and 500 <= answered.smtp_code < 600)
        except (OSError, smtplib.SMTPException, NotSecret) as failure:
            return self._failed(name, failure, for_good=False)
        return Sent.SENT

    def _failed(self, name: str, why: Exception, *, for_good: bool) -> Sent:
        # What a server says may quote the address; the kind of failure is enough to find it there.
        log.warning("mail.refused" if for_good else "mail.waits", letter=name, why=type(why).__name__)
        return Sent.REFUSED if for_good else Sent.LATER

    async def _send_in_time(self, letter: EmailMessage) -> None:
        watch: list[smtplib.SMTP] = []
        sending = asyncio.ensure_future(asyncio.to_thread(self._send, letter, watch))
        try:
            await asyncio.wait({sending}, timeout=LETTER_S)
        finally:
            for server in watch:
                if not sending.done() and server.sock is not None:
                    with contextlib.suppress(OSError):
                        server.sock.shutdown(socket.SHUT_RDWR)  # the thread that waits there is told so
        await sending

    def _send(self, letter: EmailMessage, watch: list[smtplib.SMTP]) -> None:
        with self._connect(watch) as server:
            to_us = self._settings
            if to_us.user:
                server.login(to_us.user, to_us.password)
            server.send_message(letter)

    def _connect(self, watch: list[smtplib.SMTP]) -> smtplib.SMTP:
        to_us = self._settings
        if to_us.tls:
            return _Secret(watch, to_us.host, to_us.port, timeout=TIMEOUT_S, context=self._trust)
        server = _Open(watch, to_us.host, to_us.port, timeout=TIMEOUT_S)
        try:
            self._go_secret(server)
        except BaseException:
            server.close()
            raise
        return server

    def _go_secret(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=self._trust)
            server.ehlo()
        elif self._settings.user and self._settings.host not in _LOOPBACK:
            raise NotSecret(self._settings.host)
