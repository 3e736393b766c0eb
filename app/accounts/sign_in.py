"""Signing up, in and out: the actions behind /api/session, /api/accounts and /api/tickets.

Owns what happens in which order, and that a wrong password and an unknown address cannot be told apart. Each sign-in
starts a session of its own and ends the browser's last one.
"""

from typing import Final

from app.accounts.hints import device_cookie, device_of
from app.accounts.name_rules import clean_email
from app.accounts.parts import Accounts
from app.accounts.passwords import weak
from app.accounts.register import create_account, create_guest
from app.accounts.sessions import SESSION_S
from app.accounts.standing import standing
from app.accounts.throttle import (
    GUEST_ADDRESS,
    SIGN_IN_ACCOUNT,
    SIGN_IN_ADDRESS,
    SIGN_UP_ADDRESS,
    count_try,
    forget_tries,
)
from app.accounts.tickets import TICKET_MS, issue_ticket
from app.accounts.views import Moderated, Named, Session, ShopRole, SignIn, SignUp, Ticket, TicketFor
from app.http.credentials import bearer, by_cookie, clear_cookie, cookie_secret, csrf_token, set_cookie
from app.http.endpoint import Call, Reply
from app.http.origin_rules import address_group
from app.person import Person
from app.refusal import Refusal
from app.rooms.crowd import delay_ms
from app.storage.away import unless_away

_WRONG: Final = Refusal("wrong_credentials", "The address or the password is wrong.")

# An account by its folded address.
_BY_EMAIL: Final = "SELECT id, password_hash FROM accounts WHERE email_folded = $1"
# The demo's host or moderator: the first that was seeded.
_DEMO: Final = "SELECT id FROM accounts WHERE demo_role = $1 ORDER BY created_at, id LIMIT 1"
# Whom a session shows.
_NAMED: Final = "SELECT id, name FROM accounts WHERE id = $1"
# The shops in which an account serves.
_SHOPS: Final = """
SELECT s.id, s.name, s.currency, m.role FROM shop_members m JOIN shops s ON s.id = m.shop_id
WHERE m.account_id = $1 ORDER BY m.appointed_at, s.id LIMIT 100
"""
# The shows that an account moderates by appointment, to them or to their shop.
_MODERATES: Final = """
SELECT s.id AS show, s.title FROM (
    SELECT show_id, max(appointed_at) AS appointed_at FROM (
        SELECT show_id, appointed_at FROM show_moderators WHERE account_id = $1
        UNION ALL
        SELECT w.id, m.appointed_at FROM shop_members m JOIN shows w ON w.shop_id = m.shop_id
        WHERE m.account_id = $1 AND m.role <> 'host'
    ) offices GROUP BY show_id
) m JOIN shows s ON s.id = m.show_id
WHERE s.state <> 'ended' ORDER BY m.appointed_at DESC, s.id LIMIT 100
"""


async def view_session(accounts: Accounts, account: str | None, secret: str | None) -> Session:
    """The session as its page sees it."""
    row = None if account is None else await accounts.pg.fetchrow(_NAMED, account)
    if row is None:
        return Session(person=None, csrf=None, demo=accounts.settings.demo, shops=[], moderates=[])
    shops = [ShopRole(**one) for one in await accounts.pg.fetch(_SHOPS, account)]
    moderates = [Moderated(**one) for one in await accounts.pg.fetch(_MODERATES, account)]
    csrf = None if secret is None else csrf_token(secret)
    return Session(Named(row["id"], row["name"]), csrf, accounts.settings.demo, shops, moderates)


async def read_session(accounts: Accounts, call: Call) -> Reply:
    """Who is asking, for the page."""
    account = None if call.person is None else call.person.id
    headers = {} if device_of(call.request) else {"Set-Cookie": device_cookie()}
    return Reply(await view_session(accounts, account, cookie_secret(call.request)), headers=headers)


async def sign_in(accounts: Accounts, call: Call) -> Reply | Refusal:
    """Signs in by address and password, or as a demo role."""
    body: SignIn = call.body
    if body.demo is not None and body.email is None and body.password is None:
        account = await _demo_account(accounts, body.demo, call.address)
    elif body.demo is None and body.email is not None and body.password is not None:
        account = await _account_by_password(accounts, body.email, body.password, call.address)
    else:
        account = Refusal("malformed", "Send either email and password, or demo.")
    return account if isinstance(account, Refusal) else await _start(accounts, account, call)


async def sign_up(accounts: Accounts, call: Call) -> Reply | Refusal:
    """Makes an account and signs in with it."""
    body: SignUp = call.body
    refused = weak(body.password) or await count_try(accounts.valkey, (SIGN_UP_ADDRESS, _household(call.address)))
    if refused is not None:
        return refused
    password_hash = await accounts.passwords.hash(body.password)
    if isinstance(password_hash, Refusal):
        return password_hash
    account = await create_account(accounts.pg, name=body.name, email=body.email, password_hash=password_hash)
    return account if isinstance(account, Refusal) else await _start(accounts, account, call)


async def sign_out(accounts: Accounts, call: Call) -> Reply:
    """Ends the session. Its secret opens nothing from now on, here at once and elsewhere within a moment."""
    secret = cookie_secret(call.request) if by_cookie(call.request) else bearer(call.request)
    if secret is not None:
        await _end_session(accounts, secret, call.person)
    if call.person is not None:
        for listener in accounts.sign_out_listeners:
            await unless_away("sign-out", listener.signed_out(call.person.id))
    return Reply(headers={"Set-Cookie": clear_cookie()})


async def give_ticket(accounts: Accounts, call: Call) -> Reply | Refusal:
    """A ticket for the show's socket."""
    body: TicketFor = call.body
    if await standing(accounts.pg, body.show, call.signed_in) is None:
        return Refusal("not_found", "There is no such show.")
    if accounts.crowd.is_full(body.show):
        return Refusal("overloaded", "The show is full just now; try again shortly.", delay_ms())
    ticket = await issue_ticket(accounts.valkey, call.signed_in, body.show)
    return Reply(Ticket(ticket, TICKET_MS), status=201)


def _household(address: str) -> str:
    """Whose tries are counted together: an IPv6 customer has a /64, and no address twice."""
    return address_group(address) or address


async def _account_by_password(accounts: Accounts, email: str, password: str, address: str) -> str | Refusal:
    folded = clean_email(email)
    subject = email if isinstance(folded, Refusal) else folded
    refused = await count_try(accounts.valkey, (SIGN_IN_ACCOUNT, subject), (SIGN_IN_ADDRESS, _household(address)))
    if refused is not None:
        return refused
    row = await accounts.pg.fetchrow(_BY_EMAIL, subject)
    matches = await accounts.passwords.verify(None if row is None else row["password_hash"], password)
    if isinstance(matches, Refusal):
        return matches
    if row is None or not matches:
        return _WRONG
    await forget_tries(accounts.valkey, SIGN_IN_ACCOUNT, subject)
    return str(row["id"])


async def _demo_account(accounts: Accounts, role: str, address: str) -> str | Refusal:
    if not accounts.settings.demo:
        return Refusal("demo_off", "There are no demo sign-ins here.")
    if role == "viewer":
        refused = await count_try(accounts.valkey, (GUEST_ADDRESS, _household(address)))
        return refused if refused is not None else await create_guest(accounts.pg)
    account = await accounts.pg.fetchval(_DEMO, role)
    return Refusal("demo_off", f"This demo has no {role}.") if account is None else str(account)


async def _start(accounts: Accounts, account: str, call: Call) -> Reply:
    last = cookie_secret(call.request)
    if last is not None:
        await _end_session(accounts, last, await accounts.sessions.find(last))
    secret = await accounts.sessions.open(account)
    # Whoever signs in needs no hint: where its key cannot be kept, or the disk is full, they are let in without.
    await unless_away("hint", accounts.hints.note(account, device_of(call.request), call.address))
    session = await view_session(accounts, account, secret)
    return Reply(session, status=201, headers={"Set-Cookie": set_cookie(secret, SESSION_S)})


async def _end_session(accounts: Accounts, secret: str, person: Person | None) -> None:
    """Ends a session and closes the sockets that it opened."""
    await accounts.sessions.end(secret)
    if person is not None and accounts.rooms is not None:
        await unless_away("sign-out", accounts.rooms.signed_out(person.id, person.session))
