"""`python -m app verify-draw`: says yes to what was published of a draw, and in one line what is wrong with it."""

import msgspec
import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from app.flash_sales.draw_rules import commitment_of, crowd_of, draw_order
from app.flash_sales.draws import Draw

SEED = bytes(range(32))
DRAW = Draw("sale", commitment_of(SEED), SEED.hex(), draw_order(SEED, ["ana", "ben", "cleo"]))


@pytest.mark.parametrize(
    ("published", "options", "status", "says"),
    [
        (msgspec.json.encode(DRAW), [], 0, "is right: 3 entries"),
        (msgspec.json.encode(DRAW), ["--commitment", DRAW.commitment], 0, "is right"),
        (msgspec.json.encode(DRAW), ["--commitment", "00" * 32], 1, "not the one whose hash"),
        (msgspec.json.encode(DRAW), ["--entry", DRAW.order[1]], 0, f"Entry {DRAW.order[1]} is number 2"),
        (msgspec.json.encode(DRAW), ["--crowd", crowd_of(DRAW.order).hex()], 0, "is right"),
        (msgspec.json.encode(DRAW), ["--crowd", "00" * 32], 1, "not those whose hash"),
        (msgspec.json.encode(DRAW), ["--entry", "dora"], 1, "Entry dora is not among the 3"),
        (msgspec.json.encode(msgspec.structs.replace(DRAW, order=DRAW.order[::-1])), [], 1, "the seed gives"),
        (msgspec.json.encode(msgspec.structs.replace(DRAW, seed=None)), [], 1, "still to come"),
        (b"{}", [], 1, "no published draw"),
        (b"\xff", [], 1, "no published draw"),
        (None, [], 1, "cannot be read"),
    ],
)
def test_a_draw_in_a_file_is_checked(tmp_path, published, options, status, says):
    source = tmp_path / "draw.json"
    if published is not None:
        source.write_bytes(published)
    ran = CliRunner().invoke(cli, ["verify-draw", str(source), *options])
    assert (ran.exit_code, says in ran.output) == (status, True), ran.output
    assert ran.output.count("\n") == 1
