"""All commands, and how a command ends when it cannot do its work.

Only the modules of commands that are named on the command line are loaded: `estafette post` has
no use for a database.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Annotated

import typer

from scheduler import __version__
from scheduler.cli.exits import CommandError, Exit

# A command's module in this package; one with `app` is a group of commands.
COMMANDS: Mapping[str, str] = {
    "migrate": "database",
    "run": "service",
    "api": "service",
    "worker": "service",
    "demo": "demo",
    "post": "post",
    "posts": "posts",
    "proof": "proof",
    "accounts": "accounts",
    "routes": "routes",
    "drill": "drill",
    "basket": "drill",
    "token": "token",
    "doctor": "doctor",
    "contacts": "contacts",
    "segments": "segments",
    "backup": "backup",
    "restore": "backup",
}
_HELP = "Publish what you have to say on every channel, on time, with a plan B."
_EPILOG = (
    "Exit codes: 0 done; 1 done, and the news is bad; 2 wrong flags or settings, or a port or"
    " directory that cannot be used; 3 no service answers; 4 the service refused."
)


def build(names: Iterable[str]) -> typer.Typer:
    """The program with these commands."""
    app = typer.Typer(
        help=_HELP,
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_root)
    for name in names:
        module = import_module(f"scheduler.cli.{COMMANDS[name]}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- typer's callbacks get the value alone
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(envvar="ESTAFETTE_URL", help="The service; default: the one running here."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="ESTAFETTE_TOKEN", help="An API token.", show_envvar=True),
    ] = None,
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version
    context.obj = (url, token)


def main() -> None:
    """The console script."""
    arguments = sys.argv[1:]
    named = dict.fromkeys(argument for argument in arguments if argument in COMMANDS)
    try:
        build(named if named or "--version" in arguments else COMMANDS)()
    except CommandError as error:
        sys.stderr.write(f"estafette: {error}\n")
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(128 + 2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(Exit.FAILED)
