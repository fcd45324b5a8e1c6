"""Which adapters exist: names to modules, loaded when first asked for.

Adding a channel is one line here, one folder beside it, one test file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from channels.base import Channel, Tools

# Each module defines `ADAPTER`, its adapter class, which takes `Tools`.
ADAPTERS: Mapping[str, str] = {
    "blog": "channels.blog.adapter",
    "blog.wordpress": "channels.blog.wordpress.adapter",
    "blog.ghost": "channels.blog.ghost.adapter",
    "newsletter": "channels.newsletter.adapter",
    "facebook": "channels.facebook.adapter",
    "linkedin": "channels.linkedin.adapter",
    "messenger": "channels.messenger.adapter",
    "mastodon": "channels.mastodon.adapter",
    "bluesky": "channels.bluesky.adapter",
    "webhook": "channels.webhook.adapter",
}

# What people call them.
_ALSO_CALLED: Mapping[str, str] = {
    "wordpress": "blog.wordpress",
    "ghost": "blog.ghost",
    "smtp": "newsletter",
}


def adapter_named(name: str) -> str:
    """The adapter's own name for what people call it; any other name as it is."""
    return _ALSO_CALLED.get(name, name)


class UnknownChannelError(LookupError):
    """No adapter has this name; the message lists those that exist."""


class Registry(Mapping[str, Channel]):
    """The adapters of one process, by name, all sharing one `Tools`."""

    def __init__(self, tools: Tools, adapters: Mapping[str, str] = ADAPTERS) -> None:
        self._tools = tools
        self._modules = adapters
        self._built: dict[str, Channel] = {}

    def __getitem__(self, name: str) -> Channel:
        if name not in self._built:
            if name not in self._modules:
                raise UnknownChannelError(
                    f"unknown channel {name!r}; known: {', '.join(sorted(self._modules))}"
                )
            adapter: Channel = import_module(self._modules[name]).ADAPTER(self._tools)
            self._built[name] = adapter
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
