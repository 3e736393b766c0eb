"""The migrations runner on a real Postgres."""

import shutil

import asyncpg
import pytest

from app.storage.migrations import FOLDER, MigrationError, migrate
from tests.first_start import database_url


@pytest.fixture
async def empty_url(postgres_server, request):
    name = f"empty_{abs(hash(request.node.name))}"
    connection = await asyncpg.connect(postgres_server)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return database_url(postgres_server, name)


async def test_a_second_run_applies_nothing(empty_url):
    first = await migrate(empty_url)
    assert first == sorted(path.name for path in FOLDER.glob("*.sql"))
    assert await migrate(empty_url) == []


async def test_a_file_that_changed_after_it_was_applied_is_refused(empty_url, tmp_path):
    folder = tmp_path / "migrations"
    shutil.copytree(FOLDER, folder)
    await migrate(empty_url, folder)
    changed = min(folder.glob("*.sql"))
    changed.write_text(changed.read_text() + "\n-- later\n")
    with pytest.raises(MigrationError, match="was changed"):
        await migrate(empty_url, folder)


async def test_a_failing_file_leaves_nothing_behind(empty_url, tmp_path):
    (tmp_path / "0001_half.sql").write_text("CREATE TABLE half (n int); SELECT 1/0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_url, tmp_path, tmp_path / "none")
    connection = await asyncpg.connect(empty_url)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await connection.close()


async def test_a_function_is_made_anew_when_its_text_changed_and_only_then(empty_url, tmp_path):
    none, functions = tmp_path / "none", tmp_path / "functions"
    functions.mkdir()
    source = "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT {}';"
    connection = await asyncpg.connect(empty_url)
    for n in (1, 2):
        (functions / "answer.sql").write_text(source.format(n))
        await migrate(empty_url, none, functions)
        assert await connection.fetchval("SELECT answer()") == n
    await connection.execute(source.format(3))
    await migrate(empty_url, none, functions)
    assert await connection.fetchval("SELECT answer()") == 3
    await connection.close()
