"""The doors of accounts: its routes. It has no command on the socket and no loop."""

from functools import partial

from app.accounts import follows, sign_in
from app.accounts.parts import Accounts
from app.accounts.views import Session, SignIn, SignUp, Ticket, TicketFor
from app.http.endpoint import Endpoint
from app.person import Right


def endpoints(parts: Accounts) -> list[Endpoint]:
    """The routes of accounts."""
    return [
        *follows.endpoints(parts),
        Endpoint(
            method="GET",
            path="/api/session",
            right=Right.ANYONE,
            action=partial(sign_in.read_session, parts),
            summary="Who is signed in",
            answer=Session,
        ),
        Endpoint(
            method="POST",
            path="/api/session",
            right=Right.ANYONE,
            action=partial(sign_in.sign_in, parts),
            summary="Sign in",
            body=SignIn,
            answer=Session,
        ),
        Endpoint(
            method="DELETE",
            path="/api/session",
            right=Right.ANYONE,
            action=partial(sign_in.sign_out, parts),
            summary="Sign out",
        ),
        Endpoint(
            method="POST",
            path="/api/accounts",
            right=Right.ANYONE,
            action=partial(sign_in.sign_up, parts),
            summary="Make an account and sign in with it",
            body=SignUp,
            answer=Session,
        ),
        Endpoint(
            method="POST",
            path="/api/tickets",
            right=Right.SIGNED_IN,
            action=partial(sign_in.give_ticket, parts),
            summary="Get a ticket for a show's socket",
            body=TicketFor,
            answer=Ticket,
        ),
    ]
