"""Scripts on a real Valkey, and values through a real Postgres."""

from app.storage.valkey import Script


async def test_a_script_runs_again_after_valkey_forgot_it(valkey, tmp_path):
    path = tmp_path / "add.lua"
    path.write_text("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    add = Script(path)
    assert await add(valkey, ["n"], [2]) == 2
    await valkey.script_flush()
    assert await add(valkey, ["n"], [3]) == 5


async def test_jsonb_goes_in_and_out_as_plain_values(pg):
    value = {"a": [1, "ü", None]}
    assert await pg.fetchval("SELECT $1::jsonb", value) == value
