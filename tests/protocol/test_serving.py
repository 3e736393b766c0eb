"""How Hawker is served: over TLS, from servers of one's own, role by role, and how it takes its leave."""

import os
import signal
import ssl
import subprocess
import sys

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.protocol.test_room_figures import read
from tests.running import ROOT, RunningHawker, free_port
from tests.waiting import GUARD_S, eventually_now


def command(*arguments: str, **environment: str) -> subprocess.Popen:
    own = {"PATH": os.environ["PATH"], **environment}
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=own, stdin=subprocess.DEVNULL)


def read_to_the_end(socket) -> None:
    while True:
        socket.recv(GUARD_S)


def test_a_stop_tells_every_socket_to_come_back_and_when(own_hawker):
    running = own_hawker().start()
    with connect(running.base_url.replace("http", "ws") + "/ws/shows/demo") as socket:
        socket.send('{"op":"join","epoch":null,"since":null}')
        assert "joined" in socket.recv(GUARD_S)
        assert running.stop(signal.SIGTERM) == 0
        with pytest.raises(ConnectionClosed) as closed:
            read_to_the_end(socket)
        assert closed.value.rcvd.code == 1012
        assert 0 <= int(closed.value.rcvd.reason) <= 60_000


def test_it_speaks_tls_with_a_certificate_of_its_own_making(own_hawker, tmp_path):
    made = command("deploy/self_signed.py", str(tmp_path))
    assert made.wait(60) == 0
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    first = (tmp_path / "cert.pem").read_bytes()
    assert command("deploy/self_signed.py", str(tmp_path)).wait(60) == 0
    assert (tmp_path / "cert.pem").read_bytes() == first, "a certificate that fits is kept"
    running = own_hawker(TLS_CERT=str(tmp_path / "cert.pem"), TLS_KEY=str(tmp_path / "key.pem")).start()
    trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    answer = httpx.get(f"https://127.0.0.1:{running.port}/healthz", verify=trust, timeout=GUARD_S)
    assert answer.status_code == 200
    assert "max-age" in answer.headers["strict-transport-security"]
    assert "server" not in answer.headers
    assert any(f"https://127.0.0.1:{running.port}/watch/demo" in line for line in running.log)


def test_roles_run_alone_on_servers_given_by_url(pg_url, valkey_url, tmp_path):
    port = free_port()
    known = {"DATABASE_URL": pg_url, "REDIS_URL": valkey_url, "HAWKER_DATA": str(tmp_path), "PORT": str(port)}
    assert command("-m", "app", "migrate", **known).wait(60) == 0
    roles = [command("-m", "app", "serve", "--role", role, **known) for role in ("web", "media", "worker")]

    def is_ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=GUARD_S).status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually_now(is_ready, 60, "the web role ready")
        assert httpx.get(f"http://127.0.0.1:{port}/api/shows", timeout=GUARD_S).json() == {"shows": []}
        assert all(role.poll() is None for role in roles)
    finally:
        for role in roles:
            role.terminate()
    assert [role.wait(60) for role in roles] == [0, 0, 0]


def test_everything_runs_on_servers_given_by_url_and_tells_prometheus(own_hawker, pg_url, valkey_url):
    running: RunningHawker = own_hawker(DATABASE_URL=pg_url, REDIS_URL=valkey_url).start()
    eventually_now(running.is_ready, what="it is ready")
    answer = httpx.get(running.base_url + "/metrics", timeout=GUARD_S)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    figures = read(answer.text)
    assert "hawker_sockets" in figures
    assert figures["process_resident_memory_bytes"] > 0
    assert sorted(path.name for path in (running.data / "children").iterdir() if path.name != "synthetic-host") == [
        "media",
        "web",
        "worker",
    ]


def test_a_role_alone_without_servers_says_what_it_needs():
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--role", "worker"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "hawker: A role alone needs DATABASE_URL and REDIS_URL.\n"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"HAWKER_DATA": "/dev/null"}, "Cannot keep data in /dev/null"),
        ({"HAWKER_DATA": "/dev/null/below"}, "Cannot keep data in /dev/null/below"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL should begin with postgresql://"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL should begin with redis://"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8 caddy"}, "TRUSTED_PROXIES should be addresses or networks: 'caddy'"),
        ({"TURN_URLS": "https://turn.example"}, "TURN_URLS should be like turn:turn.example:3478"),
        ({"TURN_URLS": "turn:turn.example"}, "TURN_URLS needs TURN_SECRET"),
        ({"MEDIA_ADDRESS": "shop.example"}, "MEDIA_ADDRESS should be an IP address"),
        ({"MEDIA_CONTROL_URL": "media:8001"}, "MEDIA_CONTROL_URL should begin with http://"),
        ({"TLS_CERT": "/none/cert.pem", "TLS_KEY": "/none/key.pem"}, "TLS_CERT is /none/cert.pem, which cannot"),
    ],
)
def test_a_start_that_cannot_be_says_so_in_one_line(setting, words, tmp_path):
    """Each of them once ended in a page of traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HAWKER_DATA": str(tmp_path), "PORT": str(free_port()), **setting},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"hawker: {words}")
    assert done.stderr.count("\n") == 1
