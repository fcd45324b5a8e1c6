"""Python's cycle collector, made rare while a worker runs.

At its defaults it walks the whole heap several times in a spike: a third of the worker's time, in
pauses of up to a tenth of a second, for posts on their way that are no garbage at all (measured
with 5,000 armed). What is there when the worker starts is set aside for good, and the rest is
looked at after many more allocations.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects before the youngest are looked at; such rounds before the middle ones are, and such
# rounds before all are.
_THRESHOLDS = (20_000, 20, 50)


@contextmanager
def rarely_collected() -> Iterator[None]:
    """As said above while the context lasts, as before afterwards."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
