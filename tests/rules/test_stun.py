"""STUN binding as our ICE-lite agent reads and writes it, against aioice's own implementation and against garbage."""

import ipaddress

from aioice import stun as reference
from hypothesis import given
from hypothesis import strategies as st

from app.streams.relay import stun

PASSWORD = b"0123456789abcdef0123456789abcdef"


def request(username: str = "ours:theirs", *, password: bytes = PASSWORD, **attributes) -> bytes:
    """A binding request as a browser sends it."""
    message = reference.Message(
        message_method=reference.Method.BINDING, message_class=reference.Class.REQUEST, transaction_id=b"t" * 12
    )
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1853817087
    message.attributes.update(attributes)
    message.add_message_integrity(password)
    return bytes(message)


def read(data: bytes) -> stun.BindingRequest:
    found = stun.read_request(data)
    assert found is not None
    return found


def believed(answer: bytes) -> reference.Message:
    """An answer whose fingerprint and integrity aioice has checked."""
    message = reference.parse_message(answer)
    assert message.check_message_integrity(PASSWORD)
    return message


def test_a_request_is_read_and_proves_its_sender():
    found = read(request(**{"ICE-CONTROLLING": 7, "USE-CANDIDATE": None}))
    assert (found.ufrag, found.use_candidate, found.claims_controlled, found.unknown) == ("ours", True, False, ())
    assert found.is_from(PASSWORD)
    assert not found.is_from(b"x" + PASSWORD[1:])


def test_a_request_without_use_candidate_nominates_nothing():
    assert not read(request()).use_candidate


def test_a_claim_to_be_controlled_is_seen():
    assert read(request(**{"ICE-CONTROLLED": 7})).claims_controlled


def test_a_success_is_one_that_aioice_believes():
    answer = stun.write_success(read(request()), PASSWORD, ("192.0.2.7", 40_000))
    message = believed(answer)
    assert message.message_class is reference.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.7", 40_000)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 65_535))
def test_any_address_comes_back_as_it_was_seen(address: ipaddress.IPv4Address, port: int):
    answer = stun.write_success(read(request()), PASSWORD, (str(address), port))
    host, seen = believed(answer).attributes["XOR-MAPPED-ADDRESS"]
    assert (ipaddress.ip_address(host), seen) == (address, port)


def test_an_error_is_one_that_aioice_believes():
    answer = stun.write_error(read(request()), PASSWORD, 487)
    message = believed(answer)
    assert message.attributes["ERROR-CODE"][0] == 487


def test_a_request_without_fingerprint_integrity_or_colon_deserves_no_answer():
    whole = request()
    without_fingerprint = whole[:2] + (len(whole) - 28).to_bytes(2, "big") + whole[4:-8]
    assert stun.read_request(without_fingerprint) is None
    assert stun.read_request(request("nocolon")) is None
    bare = reference.Message(reference.Method.BINDING, reference.Class.REQUEST, b"t" * 12)
    assert stun.read_request(bytes(bare)) is None


@given(st.integers(0, 2_000), st.integers(1, 255))
def test_a_request_with_any_byte_changed_proves_nothing(place: int, change: int):
    data = bytearray(request())
    data[place % len(data)] ^= change
    found = stun.read_request(bytes(data))
    assert found is None or not found.is_from(PASSWORD)


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_passed_over(tail: bytes, framed: bool):
    head = b"\x00\x01" + len(tail).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + b"t" * 12
    stun.read_request(head + tail if framed else tail)
