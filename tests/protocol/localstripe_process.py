"""localstripe as a process of its own, on loopback alone, keeping nothing on disk. Its one argument is the port."""

import sys

from aiohttp import web
from localstripe import resources, server


def forget(_store) -> None:
    """In place of the file in /tmp that all its instances share."""


resources.Store.dump_to_disk = forget
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
