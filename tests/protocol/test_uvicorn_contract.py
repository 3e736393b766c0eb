"""The private parts of uvicorn that app/rooms/uvicorn_protocol.py stands on. Moved, they fail here."""

import asyncio
import inspect
import re

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol as Base
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from app.rooms.lean import Gate, Letterbox
from app.rooms.uvicorn_protocol import RoomProtocol

METHODS = {
    "run_asgi": ["self"],
    "data_received": ["self", "data"],
    "send_receive_event_to_app": ["self"],
    "eof_received": ["self"],
    "handle_pong": ["self", "event"],
    "handle_connect": ["self", "event"],
    "handle_cont": ["self", "event"],
    "handle_ping": ["self"],
    "handle_close": ["self", "event"],
    "handle_parser_exception": ["self"],
    "keepalive_timeout": ["self"],
    "pause_writing": ["self"],
    "resume_writing": ["self"],
    "connection_lost": ["self", "exc"],
    "shutdown": ["self"],
}
ATTRIBUTES = [
    "close_sent",
    "close_timeout",
    "close_timer",
    "app",
    "conn",
    "curr_msg_data_type",
    "disconnected",
    "frames",
    "handshake_complete",
    "handshake_initiated",
    "logger",
    "loop",
    "pending_ping_payload",
    "queue",
    "read_paused",
    "request",
    "response",
    "scope",
    "tasks",
    "transport",
    "writable",
]


OWN_SLOTS = {"listener", "parting_bytes", "pings_until_s", "stay", "working"}


@pytest.mark.parametrize("name", METHODS)
def test_what_is_overridden_exists_with_the_same_arguments(name):
    assert list(inspect.signature(getattr(Base, name)).parameters) == METHODS[name]
    assert name in vars(RoomProtocol)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_what_is_read_is_set_by_uvicorn(name):
    assert f"self.{name} = " in inspect.getsource(Base) or f"self.{name}: " in inspect.getsource(Base)
    assert f"self.{name}" in inspect.getsource(RoomProtocol)


def test_every_attribute_of_uvicorns_has_a_slot():
    set_by_uvicorn = set(re.findall(r"self\.(\w+)(?::[^=\n]+)? = ", inspect.getsource(Base)))
    assert set_by_uvicorn - {"signatures"} <= set(RoomProtocol.__slots__)
    assert set(RoomProtocol.__slots__) - set_by_uvicorn == OWN_SLOTS


@pytest.mark.parametrize(("ours", "theirs"), [(Letterbox, asyncio.Queue), (Gate, asyncio.Event)])
def test_what_stands_in_for_asyncios_has_all_that_uvicorn_calls(ours, theirs):
    source = inspect.getsource(Base)
    attribute = "queue" if theirs is asyncio.Queue else "writable"
    for called in set(re.findall(rf"self\.{attribute}\.(\w+)\(", source)):
        assert hasattr(theirs, called)
        assert hasattr(ours, called)


@pytest.mark.parametrize(
    "name",
    [
        *sorted(OWN_SLOTS), "stalled", "writer", "write", "close", "abort", "take_over", "wait_drained", "wait_gone",
        *(name for name in vars(RoomProtocol) if name.startswith("_") and name[1] != "_"),
    ],
)  # fmt: skip
def test_our_names_are_not_uvicorns(name):
    assert not hasattr(Base, name)
    assert f"self.{name} " not in inspect.getsource(Base)


def test_the_scope_has_its_extensions_before_the_application_runs():
    source = inspect.getsource(Base.handle_connect)
    assert '"extensions"' in source
    assert "create_task" in source, "the application runs as a task, so after handle_connect has returned"


def test_uvicorns_way_of_running_the_application_is_the_one_that_ours_replaces():
    source = inspect.getsource(Base.run_asgi)
    for called in (
        "self.app(self.scope, self.receive, self.send)",
        "except ClientDisconnected",
        "self.send_500_response()",
        "if self.close_timer is None:\n            self.transport.close()",
    ):
        assert called in source


@pytest.mark.parametrize("name", ["on_task_complete", "send_500_response", "receive", "send"])
def test_what_is_called_exists(name):
    assert callable(getattr(Base, name))


@pytest.mark.parametrize("name", ["send_close", "data_to_send"])
def test_the_parser_writes_frames_of_its_own(name):
    assert callable(getattr(ServerProtocol, name))


def test_the_parser_is_a_generator_that_nobody_feeds_after_the_end():
    assert inspect.isgenerator(ServerProtocol().parser)
    assert ServerProtocol().parser_exc is None
    assert ServerProtocol().handshake_exc is None
    assert Request("/", Headers())._exception is None
    assert "self.conn." not in inspect.getsource(Base.connection_lost)
