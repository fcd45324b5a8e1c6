"""Whose looks may begin now: places for each account, and for all accounts of a channel.

A look at a platform that hangs takes its time. It takes it from other looks at the same account,
at most of the same channel, and never from the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

ACCOUNT_PLACES = 5
CHANNEL_PLACES = 50


@dataclass(slots=True)
class Places:
    """Looks under way, by account and by channel."""

    of_account: int = ACCOUNT_PLACES
    of_channel: int = CHANNEL_PLACES
    _accounts: Counter[str] = field(default_factory=Counter)
    _channels: Counter[str] = field(default_factory=Counter)

    def take(self, account: str, channel: str) -> bool:
        """A place, if there is one."""
        if self._accounts[account] >= self.of_account or self._channels[channel] >= self.of_channel:
            return False
        self._accounts[account] += 1
        self._channels[channel] += 1
        return True

    def leave(self, account: str, channel: str) -> None:
        """Give a place back."""
        for counter, key in ((self._accounts, account), (self._channels, channel)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def full(self) -> set[str]:
        """The accounts without a place of their own."""
        return {name for name, taken in self._accounts.items() if taken >= self.of_account}

    def choose(
        self, due: Iterable[tuple[str, str]], channels: Mapping[str, str]
    ) -> tuple[list[tuple[str, str]], Collection[str]]:
        """Of (delivery, account) in this order, those that have a place now, which is taken; and
        the accounts of the others. `channels`: by account; one that is unknown has its own."""
        chosen: list[tuple[str, str]] = []
        passed: set[str] = set()
        for delivery, account in due:
            if account not in passed and self.take(account, channels.get(account, account)):
                chosen.append((delivery, account))
            else:
                passed.add(account)
        return chosen, passed
