"""`contacts copy` and `contacts restore`: encrypted copies of the audience, in the age format."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from scheduler.audience.links import audience_key
from scheduler.audience.restoring import restore as put_back
from scheduler.audience.sealing import SealError, lines_of, read
from scheduler.cli.database import make_data_dir, open_database
from scheduler.cli.exits import CommandError
from scheduler.cli.lock import only_copy
from scheduler.cli.output import console
from scheduler.cli.place import load_settings
from scheduler.clock import Clock
from scheduler.copies import Copyist
from scheduler.settings import Settings
from scheduler.store.migrate import migrate


def copy(
    directory: Annotated[
        Path | None, typer.Argument(help="Default: the one that the daily copy goes to.")
    ] = None,
    recipient: Annotated[
        list[str] | None, typer.Option(help="age1… or an SSH public key; default: as set.")
    ] = None,
) -> None:
    """Make an encrypted copy of all readers now; `age -d FILE | gunzip` reads it without us."""
    settings = load_settings()
    if recipient:
        changed = {"copies_recipients": tuple(recipient), "copies_passphrase": ""}
        settings = Settings.model_validate(settings.model_dump() | changed)
    place = directory or settings.copies_dir
    if place is None:
        raise CommandError("name a directory, or set ESTAFETTE_COPIES_DIR")
    try:
        made = asyncio.run(_copy(settings, place))
    except (OSError, SealError) as error:
        raise CommandError(f"no copy was made: {error}") from error
    console().print(f"{made}: {made.stat().st_size / 1e6:.1f} MB")


async def _copy(settings: Settings, directory: Path) -> Path:
    key = audience_key(settings.audience_key.get_secret_value(), settings.data_dir)
    async with open_database(settings) as database:
        copyist = Copyist(database=database, clock=Clock(), settings=settings, key=key)
        return await copyist.make(directory)


def restore(
    file: Annotated[Path, typer.Argument(help="A copy.", exists=True, dir_okay=False)],
    identity: Annotated[
        Path | None,
        typer.Option(help="age's key file or an SSH private key; without it, the passphrase."),
    ] = None,
) -> None:
    """Bring a copy back into an audience without contacts, with the service stopped: the same
    people, lists, proof of consent and never-again list. Who was erased here since stays away.
    The passphrase is asked for, or read from standard input."""
    settings = load_settings()
    make_data_dir(settings)
    with only_copy(settings):
        try:
            counts = asyncio.run(_restore(settings, file, identity))
        except (OSError, SealError, KeyError, TypeError) as error:
            raise CommandError(f"{file} was not restored: {error}") from error
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    console().print(f"Restored: {said}.")


async def _restore(settings: Settings, file: Path, identity: Path | None) -> dict[str, int]:
    # Decrypted on disk, still compressed, only for as long as it takes; nobody else can read it.
    with tempfile.TemporaryFile(dir=settings.data_dir) as plain:
        if identity is None:
            read(file, plain, words=_passphrase())
        else:
            read(file, plain, identities=identity.read_text(encoding="utf-8"))  # noqa: ASYNC240 -- a command has nothing else to do meanwhile
        plain.seek(0)
        async with open_database(settings) as database:
            await migrate(database)
            return await put_back(
                database,
                lines_of(plain),
                data_dir=settings.data_dir,
                configured_key=settings.audience_key.get_secret_value(),
            )


def _passphrase() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase", hide_input=True))
    return sys.stdin.readline().rstrip("\r\n")
