"""Structured logs that follow one delivery by its id, with secrets redacted on the way out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"token$|^token|secret|password|passwd|authorization|api_?key|credential|appsecret|signature"
    r"|private_key|cookie",
    re.IGNORECASE,
)
# Values that look like credentials wherever they stand: bearer headers, tokens in query strings,
# Meta page tokens, JSON Web Tokens, passwords in URLs.
_SECRET_VALUE = re.compile(
    r"(?P<head>(?:Bearer|Basic|Ghost)\s+|(?:access_token|appsecret_proof|client_secret|"
    r"refresh_token|password|token|code)=|://[^\s/:@]*:)"
    r"[^\s&\"'@]+"
    r"|\bEAA[A-Za-z0-9]{20,}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    re.IGNORECASE,
)


# Ids, and words of the code: most values of a line, and none of the above.
_PLAIN = re.compile(r"[0-9a-f-]{1,36}\Z|[a-z._-]{1,19}\Z")


def redact_text(text: str) -> str:
    """`text` with everything that looks like a credential replaced."""
    if _PLAIN.match(text):
        return text
    return _SECRET_VALUE.sub(lambda match: (match["head"] or "") + REDACTED, text)


def redact(value: Any, name: str = "") -> Any:
    """`value` with secrets replaced, by field name and by shape, at any depth."""
    if name and _SECRET_NAME.search(name) and isinstance(value, str) and value:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {key: redact(value, key) for key, value in event.items()}


def configure(level: str = "info", form: str = "console", *, kept: bool = True) -> None:
    """Set up structlog and route the standard library's records through it. `kept`: for as long as
    the process runs; call once then."""
    threshold = getattr(logging, level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The default one prints local variables: tokens among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            _redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=kept,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _redact_event,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
