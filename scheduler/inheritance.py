"""What a run finds of the runs before it: recipients that they had claimed and never settled."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog

from scheduler.logbook import trace_of
from scheduler.store import recipients as store
from scheduler.store import turns
from scheduler.store.db import Connection
from scheduler.store.recipients import RecipientState
from scheduler.verdicts import retraced

log = structlog.get_logger()


async def inherit(
    connection: Connection,
    logbooks: Path,
    *,
    delivery_id: str,
    token: str,
    resend: bool,
    now: int,
) -> Collection[str]:
    """Settle them by the logbooks of their runs, whose tokens are returned: once this is committed
    the logbooks are of no more use. `resend`: who is in doubt is written to again."""
    uncertain: list[str] = []
    strays = await store.strays(connection, delivery_id, token)
    for theirs, contact_ids in strays.items():
        trace = trace_of(logbooks, delivery_id, theirs, contact_ids)
        settled = retraced(trace, contact_ids, resend=resend)
        uncertain += [one.contact_id for one in settled if one.state is RecipientState.UNCERTAIN]
        await turns.settle(
            connection, delivery_id=delivery_id, token=theirs, settled=settled, now=now
        )
    if uncertain:
        log.warning("broadcast.uncertain", delivery=delivery_id, contacts=uncertain)
    return strays
