"""The supervisor: every part killed in turn, itself killed, a second one on the same data.

Who breaks the Hawker of this module leaves it running for the next.
"""

import asyncio
import os
import select
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from app import branches
from app.branches import Stem
from app.heartbeat import BEAT
from app.supervisor import RoleProcess
from tests.running import ROOT, free_port
from tests.waiting import GUARD_S, eventually_now, eventually_true

ROLES = ["web", "media", "worker", "postgres", "valkey"]


def test_a_second_start_on_the_same_data_says_so_in_one_line(hawker):
    second = subprocess.run(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HAWKER_DATA": str(hawker.data), "PORT": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.startswith("hawker: Hawker already runs on")
    assert second.stderr.count("\n") == 1


def test_a_taken_port_is_told_in_one_line(hawker, own_hawker):
    other = own_hawker(PORT=str(hawker.port))
    other.start(wait=False)
    assert other._process.wait(60) == 1
    assert any(f"Cannot listen on 127.0.0.1:{hawker.port}" in line for line in other.log)


def test_every_part_that_is_killed_comes_back_and_a_restart_finds_the_data(hawker):
    running = hawker
    for name in ROLES:
        running.wait_replaced(name, running.kill(name))
    session = httpx.post(running.base_url + "/api/session", json={"demo": "viewer"}, timeout=GUARD_S)
    assert session.status_code == 201, session.text
    assert running.stop() == 0
    running.start()
    again = httpx.post(running.base_url + "/api/session", json={"demo": "viewer"}, timeout=GUARD_S)
    assert again.json()["person"]["name"] != session.json()["person"]["name"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each role loads its own libraries")
def test_roles_branch_off_a_stem_without_threads_outlive_it_and_come_back_without_it(hawker):
    running = hawker

    def stems() -> list[psutil.Process]:
        parts = {int(note.read_text().split()[0]) for note in (running.data / "children").iterdir()}
        children = psutil.Process(running.supervisor_pid).children()
        return [child for child in children if child.pid not in parts]

    eventually_now((running.data / "children" / "synthetic-host").exists, what="the last one branched off")
    (stem,) = stems()
    assert stem.num_threads() == 1, "a copy of it would lack the other threads, and what they had locked stays locked"
    others = {name: running.pid_of(name) for name in ("media", "worker")}
    for pid in others.values():
        assert psutil.Process(pid).cmdline() == stem.cmdline()
    stem.kill()
    running.wait_replaced("web", running.kill("web"))
    assert {name: running.pid_of(name) for name in others} == others
    assert psutil.Process(running.pid_of("web")).cmdline()[2] == "app.roles"  # afresh
    running.wait_replaced("worker", running.kill("worker"))
    assert running.pid_of("worker") != stems()[0].pid
    assert psutil.Process(running.pid_of("worker")).cmdline() == stems()[0].cmdline()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each role loads its own libraries")
async def test_a_stem_that_hangs_is_not_waited_for_and_what_it_may_have_begun_has_no_link(monkeypatch):
    """Whoever died while it hung was never started again, and nobody was told."""
    monkeypatch.setattr(branches, "STEM_PATIENCE_S", 0.2)
    role = RoleProcess("worker", dict(os.environ), Stem(os.environ), asyncio.Event())
    stem, links = role._stem, []
    monkeypatch.setattr(role, "_fresh_link", lambda make=role._fresh_link: links.append(make()) or links[-1])
    stem._open()
    hanging = stem._process
    hanging.send_signal(signal.SIGSTOP)
    worker = await role.child().launch()
    try:
        assert psutil.Process(worker.pid).cmdline()[2:] == ["app.roles", "worker"]
        assert hanging.poll() == -signal.SIGKILL
        assert len(links) == 2, "one of its own"
    finally:
        worker.kill()
        worker.wait()
        role._link.close()


async def test_a_role_says_that_it_lives_from_the_moment_that_it_is_ready(hawker, short_folder):
    """Of one that does not, nobody would know that it hangs. A second media role, since it is in nobody's way."""
    servers = {"DATABASE_URL": hawker.postgres_url, "REDIS_URL": hawker.valkey_url}
    door = {"MEDIA_CONTROL_URL": f"unix:{short_folder / 'media.sock'}", "MEDIA_PORT": str(free_port())}
    stem, go = Stem({**os.environ, **servers}), asyncio.Event()
    go.set()
    role = RoleProcess("media", {**stem.environment, **door}, stem, go)
    child = role.child()
    process = await child.launch()
    try:
        async with asyncio.timeout(60):
            await child.wait_ready(process)
            for _ in range(2):
                assert set(await asyncio.get_running_loop().sock_recv(role._link, 100)) == set(BEAT)
    finally:
        process.kill()
        await eventually_true(lambda: process.poll() is not None, 20, "gone")
        stem.end()
        role._link.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what was left")
def test_when_the_supervisor_is_killed_all_children_die_and_the_next_start_works(hawker):
    running = hawker
    watches = [os.pidfd_open(running.pid_of(name)) for name in ROLES]
    running.stop(signal.SIGKILL)
    for watch in watches:
        assert select.select([watch], [], [], GUARD_S)[0], "a child outlived the supervisor"
        os.close(watch)
    running.start()
    eventually_now(running.is_ready, what="it is ready")


def test_without_the_demo_the_first_host_is_made_on_the_command_line(own_hawker):
    running = own_hawker(DEMO="0").start()
    assert any("create-account" in line for line in running.log)
    environment = {"PATH": os.environ["PATH"], "HAWKER_DATA": str(running.data)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("create-account", "--name", "Nora", "--email", "nora@example.org", "--password", "a long password")
    run("create-shop", "--name", "Nora's", "--currency", "EUR", "--host", "nora@example.org")
    known = {"email": "nora@example.org", "password": "a long password"}
    signed_in = httpx.post(running.base_url + "/api/session", json=known, timeout=GUARD_S)
    assert [shop["role"] for shop in signed_in.json()["shops"]] == ["host"]
    assert running.stop() == 0
    assert "applied" not in run("migrate")
