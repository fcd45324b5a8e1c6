"""A real WordPress from Debian's packages: its own MariaDB on a private socket, PHP's own web
server, everything below one folder and run by nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

SOURCE = Path("/usr/share/wordpress")
PROGRAMS = ("php", "mariadbd", "mariadb-install-db")
HERE = Path(__file__).parent
_USER = "nobody"
_START_SECONDS = 60.0


def missing() -> str:
    """What this machine lacks to run it; empty when nothing."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if not SOURCE.is_dir():
        lacking.append("wordpress")
    return ", ".join(lacking)


@dataclass(frozen=True, slots=True)
class WordPress:
    """A running site. `passwords`: application passwords by login."""

    url: str
    folder: Path
    passwords: Mapping[str, str]

    def php(self, code: str) -> str:
        """Run PHP inside this WordPress; what it prints."""
        script = f"require '{self.folder}/wp-load.php'; {code}"
        return _run(["php", "-r", script], self.folder, environment={"SITE_URL": self.url})

    def posts(self, where: str = "post_type = 'post' AND post_status = 'publish'") -> list[Any]:
        """Rows of the posts table, oldest first, without the one that every WordPress has."""
        query = f"SELECT * FROM wp_posts WHERE ID > 3 AND {where} ORDER BY ID"  # noqa: S608 -- of the tests' own
        return list(
            json.loads(self.php(f'global $wpdb; echo json_encode($wpdb->get_results("{query}"));'))
        )

    def permalinks(self, structure: str) -> None:
        """`/%postname%/`, or `` for plain ones."""
        self.php(
            f"global $wp_rewrite; $wp_rewrite->set_permalink_structure('{structure}');"
            " flush_rewrite_rules(false);"
        )

    @contextmanager
    def maintenance(self) -> Iterator[None]:
        """As while WordPress updates itself."""
        marker = self.folder / ".maintenance"
        marker.write_text(f"<?php $upgrading = {int(time.time())};")
        marker.chmod(0o644)
        try:
            yield
        finally:
            marker.unlink()


@contextmanager
def running(folder: Path) -> Iterator[WordPress]:
    """A freshly installed WordPress below `folder`, whose path has to be short (its socket)."""
    folder.chmod(0o755)
    site, data, sockets = folder / "site", folder / "data", folder / "run"
    shutil.copytree(SOURCE, site, symlinks=False, ignore=shutil.ignore_patterns(".htaccess"))
    for name in ("install.php", "router.php"):
        shutil.copy(HERE / name, site / name)
    for needed in (data, sockets, site / "wp-content" / "uploads"):
        needed.mkdir(exist_ok=True)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    (site / "wp-config.php").write_text(_config(sockets / "db.sock"))
    _give_away(folder)
    _run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
          "--auth-root-authentication-method=normal"], folder)  # fmt: skip
    database = ["mariadbd", "--no-defaults", f"--datadir={data}", "--skip-networking",
                f"--socket={sockets / 'db.sock'}", f"--pid-file={sockets / 'db.pid'}",
                "--innodb-flush-log-at-trx-commit=0"]  # fmt: skip
    web = ["php", "-d", "error_log=/dev/null", "-S", f"127.0.0.1:{port}", "-t", str(site),
           str(site / "router.php")]  # fmt: skip
    with _served(database, folder), _served(web, folder, {"SITE_URL": url}):
        _wait_for_socket(sockets / "db.sock")
        _run(["php", "-r", _create_database(sockets / "db.sock")], folder)
        passwords = json.loads(
            _run(["php", str(site / "install.php")], folder, environment={"SITE_URL": url})
        )
        _wait_for_answer(f"{url}/?rest_route=/")
        yield WordPress(url, site, passwords)


def _config(database: Path) -> str:
    return f"""<?php
define('DB_NAME', 'wordpress'); define('DB_USER', 'root'); define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:{database}'); define('DB_CHARSET', 'utf8mb4');
define('WP_HOME', getenv('SITE_URL')); define('WP_SITEURL', getenv('SITE_URL'));
define('WP_ENVIRONMENT_TYPE', 'local'); // application passwords without TLS
define('DISABLE_WP_CRON', true); define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true); define('WP_DEBUG', false);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""


def _create_database(path: Path) -> str:
    return (
        f"$db = new mysqli(null, 'root', '', '', 0, '{path}');"
        " $db->query('CREATE DATABASE wordpress CHARACTER SET utf8mb4');"
    )


def _account() -> dict[str, Any]:
    """Run as nobody when the tests run as root: neither server would otherwise."""
    return {"user": _USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _give_away(folder: Path) -> None:
    if os.geteuid() != 0:
        return
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, _USER, "nogroup")


def _run(command: list[str], folder: Path, *, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_START_SECONDS,
        **_account(),
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return str(done.stdout)


@contextmanager
def _served(
    command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "HOME": str(folder), **(environment or {})},
            stdout=log,
            stderr=log,
            **_account(),
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_socket(path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(path))
            return
        time.sleep(0.1)
    raise RuntimeError(f"no database at {path} after {_START_SECONDS:.0f} s")


def _wait_for_answer(url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=20).close()  # noqa: S310 -- our own address
        except HTTPError:
            return
        except URLError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"no web server at {url} after {_START_SECONDS:.0f} s")
