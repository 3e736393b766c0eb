"""The bundled servers: as whom they run, what they leave behind, and what a second start makes of it."""

import asyncio
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from redis import Redis

from app.embedded import binaries
from app.embedded.child import end, spawn
from app.embedded.folder import DataFolder, FolderBusyError
from app.embedded.footing import Footing
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes import birth_of
from app.embedded.valkey import EmbeddedValkey
from tests.conftest import wait_ready

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to become")


def ask(url: str, sql: str):
    async def go():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(go())


def run_once(folder: Path, footing: Footing | None, sql: str):
    """Starts Postgres in `folder`, asks one thing, stops it."""
    sockets = folder / "s"
    sockets.mkdir(mode=0o700, exist_ok=True)
    server = EmbeddedPostgres(folder, sockets, footing)
    stance = server.prepare()
    child = server.start(stance)
    try:
        wait_ready(server, child)
        return ask(server.url, sql), stance
    finally:
        end(child, server.end_signal, 10)


@as_root
def test_root_without_namespaces_runs_postgres_as_nobody_even_under_a_closed_folder(short_folder, monkeypatch):
    """A clone below root's home (mode 0700) could neither be entered nor its programs be found by nobody."""
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)
    package = binaries.postgres_bin().parents[1]
    for folder in package.parent.glob(package.name + "*"):  # its libraries are beside it
        shutil.copytree(folder, closed / folder.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
    monkeypatch.setattr("app.embedded.postgres.postgres_bin", lambda: closed / package.name / "pginstall" / "bin")
    data = closed / "data"
    data.mkdir(mode=0o700)
    answer, stance = run_once(data, Footing.OTHER, "SELECT 41 + 1")
    assert answer == 42
    assert stance.footing is Footing.OTHER
    assert (data / "postgres").stat().st_uid == 65534
    assert closed.stat().st_mode & 0o777 == 0o700
    # A later start with namespaces allowed keeps the owner instead of failing on it.
    answer, stance = run_once(data, None, "SELECT count(*) FROM pg_database")
    assert answer == 3
    assert stance.footing is Footing.OTHER


def test_a_half_made_cluster_is_thrown_away(short_folder):
    data = short_folder / "half"
    (data / "postgres.new" / "base").mkdir(parents=True)
    answer, _ = run_once(data, None, "SHOW fsync")
    assert answer == "on"
    assert not (data / "postgres.new").exists()


def test_a_stale_pid_file_that_names_a_living_stranger_does_not_stop_the_start(short_folder):
    data = short_folder / "stale"
    data.mkdir()
    run_once(data, None, "SELECT 1")
    stranger = spawn([sys.executable, "-c", "input()"], end_signal=signal.SIGKILL, stdin=subprocess.PIPE)
    try:
        note = data / "postgres" / "postmaster.pid"
        note.write_text(f"{stranger.pid}\n{data / 'postgres'}\n1\n5432\n{data / 's'}\n\n 1 1\nready\n")
        os.chown(note, (data / "postgres").stat().st_uid, -1)
        answer, _ = run_once(data, None, "SHOW synchronous_commit")
        assert answer == "on"
        assert stranger.poll() is None, "the stranger was ended"
    finally:
        end(stranger, signal.SIGKILL, 5)
        stranger.stdin.close()


def test_a_second_owner_of_a_data_folder_is_told_in_one_line(tmp_path):
    folder = DataFolder(tmp_path / "d")
    with pytest.raises(FolderBusyError, match="already runs on") as told:
        DataFolder(tmp_path / "d")
    assert "\n" not in str(told.value)
    folder.close()
    DataFolder(tmp_path / "d").close()


def test_a_long_path_gets_a_short_closed_folder_for_its_sockets(tmp_path):
    folder = DataFolder(tmp_path / ("long" * 30))
    assert len(str(folder.sockets)) < 80
    assert folder.sockets.stat().st_mode & 0o777 == 0o700
    sockets = folder.sockets
    folder.close()
    assert not sockets.exists()


def test_what_an_earlier_owner_left_running_is_ended_and_a_stranger_is_not(tmp_path):
    folder = DataFolder(tmp_path / "d")
    left = spawn([sys.executable, "-c", "input()"], end_signal=signal.SIGKILL, stdin=subprocess.PIPE)
    stranger = spawn([sys.executable, "-c", "input()"], end_signal=signal.SIGKILL, stdin=subprocess.PIPE)
    folder.record("left", left.pid, signal.SIGTERM)
    (tmp_path / "d" / "children" / "stranger").write_text(f"{stranger.pid} 15 another-boot 123")
    folder.close()
    again = DataFolder(tmp_path / "d")
    assert left.wait(60) == -signal.SIGTERM
    assert stranger.poll() is None
    again.close()
    end(stranger, signal.SIGKILL, 5)
    for child in (left, stranger):
        child.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what was left")
@pytest.mark.parametrize("words", ["", "123", "x y z", "\0\0\0", "99999 15"])
def test_a_broken_note_of_a_child_is_thrown_away(tmp_path, words):
    """After a power cut an empty note could be there, and no start succeeded until somebody deleted it."""
    DataFolder(tmp_path / "d").close()
    (tmp_path / "d" / "children" / "web").write_text(words)
    folder = DataFolder(tmp_path / "d")
    assert list((tmp_path / "d" / "children").iterdir()) == []
    folder.close()


def test_children_die_when_their_parent_is_killed(short_folder):
    data = short_folder / "orphan"
    data.mkdir()
    source = f"""
import os, sys
from pathlib import Path
from app.embedded.postgres import EmbeddedPostgres
data = Path({str(data)!r})
(data / "s").mkdir(mode=0o700)
server = EmbeddedPostgres(data, data / "s")
child = server.start(server.prepare())
while not server.is_ready(child):
    pass
print(child.pid, flush=True)
input()
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    watch = os.pidfd_open(pid)
    parent.kill()
    parent.communicate()
    assert select.select([watch], [], [], 60)[0], "Postgres outlived its parent"
    os.close(watch)
    assert birth_of(pid) is None


@contextlib.contextmanager
def valkey_in(folder: Path) -> Iterator[tuple[Redis, subprocess.Popen[bytes]]]:
    """The bundled Valkey with its files in `folder`, ready; ended afterwards, if it still runs."""
    sockets = folder / "s"
    sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = EmbeddedValkey(folder, sockets)
    server.prepare()
    child = server.start()
    try:
        wait_ready(server, child)
        with Redis(unix_socket_path=str(sockets / "valkey.sock")) as valkey:
            yield valkey, child
    finally:
        end(child, server.end_signal, 10)


def test_valkey_has_on_disk_what_it_answers(short_folder):
    """A kill shows that it is in the file; that the file is on the disk shows in a power cut alone, so it is asked."""
    with valkey_in(short_folder / "v") as (valkey, child):
        assert valkey.config_get("appendfsync") == {"appendfsync": "always"}
        valkey.set("word", "said")
        child.kill()
    with valkey_in(short_folder / "v") as (valkey, _):
        assert valkey.get("word") == b"said"
