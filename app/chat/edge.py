"""The doors of chat, put together: commands of the room's socket, HTTP for the staff, and the loops."""

from app.chat import (
    answers,
    ban_lists,
    blocks,
    exports,
    poll_edge,
    question_edge,
    quick_replies,
    reviewing,
    staff_edge,
    talk_edge,
    unanswered,
    unbans,
)
from app.chat.agreement import agreement_loop
from app.chat.ban_lists import lists_loop
from app.chat.bans import bans_loop
from app.chat.copy import copy_loop
from app.chat.delayed import delayed_loop
from app.chat.evasion import hints_loop
from app.chat.parts import Chat
from app.chat.polls import polls_loop
from app.chat.questions import questions_loop
from app.chat.reactions import reactions_loop
from app.http.endpoint import Endpoint
from app.rooms.command import Command
from app.storage.loops import Loop


def commands(parts: Chat) -> list[Command]:
    """What a room's socket can do with chat."""
    edges = (talk_edge, question_edge, unanswered, unbans, poll_edge, staff_edge)
    return [command for edge in edges for command in edge.commands(parts)]


def endpoints(parts: Chat) -> list[Endpoint]:
    """What can be asked over HTTP."""
    edges = (staff_edge, blocks, poll_edge, quick_replies, answers, unanswered, unbans, ban_lists, reviewing, exports)
    return [endpoint for edge in edges for endpoint in edge.endpoints(parts)]


def loops(parts: Chat) -> list[Loop]:
    """Copies to Postgres, sanctions that rooms missed, bans, their lists and hints, delays, votes, polls, reactions."""
    return [
        copy_loop(parts),
        agreement_loop(parts),
        bans_loop(parts),
        lists_loop(parts),
        hints_loop(parts),
        delayed_loop(parts),
        questions_loop(parts),
        polls_loop(parts),
        reactions_loop(parts.rooms, parts.reactions),
    ]
