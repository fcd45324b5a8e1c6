"""Pictures lent to receivers that fetch them by address: a link that nobody can guess, and that
ends when it is needed no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from channels.posts import Media
from scheduler.audience.links import audience_key, seal, unseal
from scheduler.media import original_path
from scheduler.settings import Settings

# A receiver that was down for a weekend still finds them; each attempt lends anew.
LENT_FOR = timedelta(hours=72)
LENT_PATH = "/m"
_PURPOSE = "picture"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"original|\d+x\d+-\d+\.(jpg|png|gif|webp)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """A file that somebody may fetch; `over`: may no more."""

    path: Path
    content_type: str
    until: datetime
    over: bool


class Lender:
    """Makes and reads `{public_url}/m/{token}`. `key`: of the tokens."""

    def __init__(self, public_url: str, data_dir: Path, key: bytes) -> None:
        self._base = f"{public_url}{LENT_PATH}/"
        self._data_dir = data_dir
        self._key = key

    def lend(self, media: Media, now: datetime) -> str | None:
        """Where this picture can be fetched for a while; None when it is not on this disk."""
        path = media.path
        if path is None or not media.sha256 or not path.is_file():
            return None
        until = str(int((now + LENT_FOR).timestamp()))
        words = (until, media.content_type, media.sha256, path.name)
        return self._base + seal(self._key, _PURPOSE, *words)

    def read(self, token: str, now: datetime) -> Loan | None:
        """What a token lends; None if we did not make it."""
        words = unseal(self._key, _PURPOSE, token)
        if words is None or len(words) != 4:
            return None
        until, content_type, sha256, file = words
        if not _SHA256.fullmatch(sha256) or not _FILE.fullmatch(file):
            return None
        end = datetime.fromtimestamp(int(until), now.tzinfo)
        path = original_path(self._data_dir, sha256).with_name(file)
        return Loan(path=path, content_type=content_type, until=end, over=end <= now)


def lender_of(settings: Settings) -> Lender | None:
    """None without a public address: nobody could fetch anything."""
    if not settings.public_url:
        return None
    key = audience_key(settings.audience_key.get_secret_value(), settings.data_dir)
    return Lender(settings.effective_public_url, settings.data_dir, key)
