"""What a first start of Hawker leaves on disk, made once for a whole run of the tests and copied from then on.

A cluster from initdb with the demo in it, and beside the demo an empty database with the current schema. Owns the
folder's making and copying; what a first start does is tested where it is made, and by who starts on bare ground.
"""

import asyncio
import fcntl
import subprocess
from pathlib import Path

import asyncpg

from app.storage.migrations import migrate
from tests.running import RunningHawker

TEMPLATE = "template_hawker"
"""The name of the empty database with the current schema."""


def database_url(server_url: str, name: str) -> str:
    """The address of another database on the same server."""
    head, _, query = server_url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{query}"


class FirstStart:
    """The folder `place`/data, made by whoever comes first: the processes of one run share `place`."""

    def __init__(self, place: Path) -> None:
        self._data = place / "data"
        with (place / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # freed with the file
            if not (place / "made").exists():
                self._make(self._data)
                (place / "made").touch()

    def copy_cluster(self, data: Path) -> None:
        """Puts the stopped cluster into `data`, a folder that may not be there yet, with its owner and its modes."""
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", self._data / "postgres", data / "postgres"], check=True)

    @staticmethod
    def _make(data: Path) -> None:
        running = RunningHawker(data).start()
        try:
            asyncio.run(_add_template(running.postgres_url))
        finally:
            assert running.stop() == 0


async def _add_template(server_url: str) -> None:
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {TEMPLATE}")
    await connection.close()
    await migrate(database_url(server_url, TEMPLATE))
