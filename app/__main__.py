"""`python -m app <command>`: parses arguments, nothing else."""

import asyncio
import sys
from collections.abc import Coroutine
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

from app.settings import SettingError, Settings, read_settings

cli = typer.Typer(add_completion=False, no_args_is_help=True, help="Hawker: live-stream shopping.")


class RoleName(StrEnum):
    """The roles that can run alone."""

    WEB = "web"
    MEDIA = "media"
    WORKER = "worker"


def _settings() -> Settings:
    try:
        return read_settings()
    except SettingError as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    typer.echo(f"hawker: {error}", err=True)
    sys.exit(1)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs `work`; what a person can put right is told in one line, anything else is a traceback."""
    from app.embedded.binaries import BinaryMissingError
    from app.embedded.folder import FolderBusyError, FolderUnusableError
    from app.embedded.postgres import ServerFailedError
    from app.refusal import CommandRefusedError  # not from app.shell, which brings half of Hawker
    from app.storage.migrations import MigrationError
    from app.supervisor import StartError

    try:
        return asyncio.run(work)
    except (
        *(BinaryMissingError, FolderBusyError, FolderUnusableError, ServerFailedError),
        *(CommandRefusedError, MigrationError, StartError),
    ) as error:
        _fail(error)


@cli.command()
def serve(
    role: Annotated[RoleName | None, typer.Option(help="Run one role alone. Default: everything.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Web processes; each takes one core.")] = 1,
    relays: Annotated[int, typer.Option(min=1, max=64, help="Media processes, on UDP ports from MEDIA_PORT on.")] = 1,
) -> None:
    """Run Hawker."""
    settings = _settings()
    if role is None:
        from app.serve import serve as serve_all

        _run(serve_all(settings, workers, relays))
        return
    if (workers, relays) != (1, 1):
        _fail(SettingError("A role alone is one process: start it as often as you need it."))
    if not (settings.database_url and settings.redis_url):
        _fail(SettingError("A role alone needs DATABASE_URL and REDIS_URL."))
    from app.roles import run_role

    run_role(role, settings)


@cli.command()
def migrate() -> None:
    """Bring the database to the current schema."""
    from app.shell import migrate_database

    for name in _run(migrate_database(_settings())):
        typer.echo(f"applied {name}")


@cli.command()
def create_account(
    name: Annotated[str, typer.Option(help="The name that others see.")],
    email: Annotated[str, typer.Option(help="What to sign in with.")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Make an account."""
    from app.shell import create_account as create

    account = _run(create(_settings(), name, email, password))
    typer.echo(f"Account {account} is made. Sign in with {email}.")


@cli.command()
def create_shop(
    name: Annotated[str, typer.Option(help="The shop's name.")],
    host: Annotated[str, typer.Option(help="The e-mail address of the account that will host its shows.")],
    currency: Annotated[str, typer.Option(help="ISO 4217, for example EUR.")] = "EUR",
) -> None:
    """Make a shop and its first host."""
    from app.shell import create_shop as create

    shop = _run(create(_settings(), name, host, currency))
    typer.echo(f"Shop {shop} is made; {host} is its host.")


@cli.command()
def verify_draw(
    source: Annotated[str, typer.Argument(help="A file with the published draw, its address, or - to read it here.")],
    commitment: Annotated[str, typer.Option(help="The hash that the room said before the start, if you kept it.")] = "",
    entry: Annotated[str, typer.Option(help="Your own entry: whether it was drawn too, and as what number.")] = "",
    crowd: Annotated[
        str, typer.Option(help="The entries' hash that the room said with the draw, if you kept it.")
    ] = "",
) -> None:
    """Check the order of a sale's waiting room from what was published of its draw."""
    from app.shell import verify_draw as verify

    typer.echo(_run(verify(source, commitment, entry, crowd)))


audit = typer.Typer(no_args_is_help=True, help="The log of moderation.")
cli.add_typer(audit, name="audit")


@audit.command("verify")
def audit_verify(
    end: Annotated[str, typer.Option(help="A hash that an earlier run printed: the log must still contain it.")] = "",
) -> None:
    """Compute the log's chain of hashes again; fail where somebody rewrote it."""
    from app.shell import verify_audit

    chain = _run(verify_audit(_settings(), end))
    if chain.broken is not None:
        typer.echo(f"The log is broken at act {chain.broken.n}: {chain.broken.why}.", err=True)
        sys.exit(1)
    if end and not chain.has_seen:
        typer.echo(f"The log has lost its tail: no act has the hash {end}.", err=True)
        sys.exit(1)
    typer.echo(f"{chain.length} acts, unbroken. The last hash: {chain.end.hex() or 'none'}")


if __name__ == "__main__":
    cli(prog_name="python -m app")
