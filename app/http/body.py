"""A request's body: read within its limit and time, then decoded strictly into the endpoint's type.

Owns what is refused about bytes (size, content type, JSON, types, unknown fields, NUL). It knows no feature.
"""

import asyncio
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, Request

from app.http.endpoint import Endpoint
from app.http.request_protocol import WHOLE
from app.refusal import Refusal

BODY_TIME_S: Final = 20
BODY_RATE: Final = 32 * 1024
"""Bytes a second: what has arrived extends the time at this rate, so that a slow line can send a large file. Who sends
nothing has BODY_TIME_S, and nobody more than `time_for`."""
NUL: Final = Refusal("malformed", "Text may not hold the character U+0000.")
_UNKNOWN_FIELD: Final = "Object contains unknown field"


def content_type_refused(endpoint: Endpoint, request: Request) -> Refusal | None:
    """A refusal when the body is announced as something that the endpoint does not take."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent in endpoint.content_types:
        return None
    return Refusal("content_type", f"Send the body as {' or '.join(endpoint.content_types)}.")


def time_for(size: int) -> float:
    """Within how many seconds the `size` bytes of a body must have arrived."""
    return BODY_TIME_S + size / BODY_RATE


async def read_body(request: Request, bytes_max: int) -> bytes | Refusal:
    """The whole body, refused as soon as it is known to be larger than `bytes_max` or slower than `time_for` has it."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > bytes_max:
        return _too_large(bytes_max)
    return await read_chunks(request, bytes_max)


def _too_large(bytes_max: int) -> Refusal:
    return Refusal("too_large", f"The body may have {bytes_max} bytes at most.", details={"bytes_max": bytes_max})


async def read_chunks(request: Request, bytes_max: int) -> bytes | Refusal:
    """As read_body, whatever was announced. Raises ClientDisconnect."""
    if WHOLE in request.scope.get("extensions", ()):
        return await _join_chunks(request, bytes_max)
    try:
        async with asyncio.timeout(BODY_TIME_S) as limit:
            return await _join_chunks(request, bytes_max, limit)
    except TimeoutError:
        return Refusal("slow_body", "The body arrived too slowly.")


async def _join_chunks(request: Request, bytes_max: int, limit: asyncio.Timeout | None = None) -> bytes | Refusal:
    began = asyncio.get_running_loop().time()
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > bytes_max:
            return _too_large(bytes_max)
        if limit is not None:
            limit.reschedule(began + time_for(size))
        more = message.get("more_body", False)
    return b"".join(chunks)


def has_nul(value: Any) -> bool:
    """Whether any text in a decoded JSON value holds NUL: Postgres cannot, and nobody types it."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(one) for key, one in value.items())
    return isinstance(value, list) and any(has_nul(one) for one in value)


def decode_body(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any | Refusal:
    """The value in `raw`, or a refusal that names the path of what is wrong."""
    try:
        value = decoder.decode(raw)
    except msgspec.ValidationError as wrong:
        code = "unknown_field" if str(wrong).startswith(_UNKNOWN_FIELD) else "malformed"
        return Refusal(code, f"{wrong}.")
    except msgspec.DecodeError as wrong:
        return Refusal("malformed", f"This is not JSON: {wrong}.")
    except (UnicodeDecodeError, RecursionError):
        return Refusal("malformed", "This is not JSON in UTF-8 of a sane depth.")
    if b"\\u0000" in raw and has_nul(msgspec.to_builtins(value)):
        return NUL
    return value


def strict_decoder(body: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of an endpoint's body type. Every Struct in it must forbid unknown fields; else AssertionError."""
    for one in _structs(msgspec.inspect.type_info(body)):
        assert one.forbid_unknown_fields, f"{one.cls.__name__} must set forbid_unknown_fields=True"
    return msgspec.json.Decoder(body)


def _structs(info: Any) -> list[msgspec.inspect.StructType]:
    """Every Struct type that a type is made of. Bodies are not recursive, so this ends."""
    if isinstance(info, msgspec.inspect.StructType):
        return [info, *(one for field in info.fields for one in _structs(field.type))]
    parts = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    several = [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    return [one for part in [*parts, *several] if part is not None for one in _structs(part)]
