"""`backup` and `restore`: database, media and keys in one file."""

from __future__ import annotations

import asyncio
import json
import os
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler import __version__
from scheduler.cli.database import make_data_dir, open_database
from scheduler.cli.exits import CommandError
from scheduler.cli.lock import only_copy
from scheduler.cli.output import console
from scheduler.cli.place import load_settings
from scheduler.clock import Clock
from scheduler.settings import Settings
from scheduler.store.backup import BackupError, copy_in, copy_out, doubt_what_came_due, is_empty
from scheduler.store.migrate import migrate

_DATABASE = "database"
_MANIFEST = "manifest.json"
# What the data directory holds beside the database and cannot be derived again.
_KEPT = ("media", "secret.keys", "audience.key")


def backup(
    file: Annotated[
        Path | None, typer.Argument(help="Default: estafette-<date>.tar.gz, here.")
    ] = None,
) -> None:
    """Copy everything into one file, while the service runs. Keep it private: it holds the keys."""
    settings = load_settings()
    target = file or Path(f"estafette-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        _write(settings, target)
    except (BackupError, OSError) as error:
        raise CommandError(f"no backup was made: {error}") from error
    console().print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


def _write(settings: Settings, target: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / _DATABASE
        copy_out(settings.effective_database_url, copy)
        manifest = Path(place) / _MANIFEST
        manifest.write_text(json.dumps(_manifest(settings)), encoding="utf-8")
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
            archive.add(manifest, _MANIFEST)
            archive.add(copy, _DATABASE)
            for name in _KEPT:
                if (settings.data_dir / name).exists():
                    archive.add(settings.data_dir / name, name)


def _manifest(settings: Settings) -> dict[str, Any]:
    return {
        "estafette": __version__,
        "database": _engine(settings),
        "made_at": datetime.now(UTC).isoformat(),
    }


def _engine(settings: Settings) -> str:
    return settings.effective_database_url.partition("+")[0]


def restore(
    file: Annotated[Path, typer.Argument(help="What `estafette backup` made.", exists=True)],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a database that is not empty.")
    ] = False,
) -> None:
    """Bring a backup back, with the service stopped. What came due since is looked for on the
    platforms before it is sent: nothing goes out twice."""
    settings = load_settings()
    make_data_dir(settings)
    if not force and not is_empty(settings.effective_database_url):
        raise CommandError("there is a database already; --force overwrites it")
    with only_copy(settings):
        try:
            made_at = _read(settings, file)
            doubted = asyncio.run(_settle(settings))
        except (BackupError, OSError, tarfile.TarError, KeyError, ValueError) as error:
            raise CommandError(f"{file} was not restored: {error}") from error
    console().print(f"Restored what there was at {made_at}.")
    if doubted:
        console().print(
            f"{doubted} deliveries came due since: they are looked for before they are sent."
        )


def _read(settings: Settings, file: Path) -> str:
    with tempfile.TemporaryDirectory() as place, tarfile.open(file) as archive:
        # The filter refuses links and paths that lead out of the directory.
        archive.extractall(place, filter="data")
        manifest = json.loads((Path(place) / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["database"] != _engine(settings):
            raise BackupError(
                f"it is of {manifest['database']}, and ESTAFETTE_DATABASE_URL is"
                f" {_engine(settings)}"
            )
        copy_in(settings.effective_database_url, Path(place) / _DATABASE)
        for name in _KEPT:
            _replace(Path(place) / name, settings.data_dir / name)
    return str(manifest["made_at"])


def _replace(source: Path, target: Path) -> None:
    for path in [source, *source.rglob("*")] if source.exists() else ():
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.unlink(missing_ok=True)
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(path.read_bytes())


async def _settle(settings: Settings) -> int:
    async with open_database(settings) as database:
        await migrate(database)
        return await doubt_what_came_due(database, now=Clock().micros())
