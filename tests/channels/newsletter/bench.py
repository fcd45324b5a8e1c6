"""The newsletter for the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from channels.outcome import HealthStatus, Throttled
from channels.sandbox.faults import FaultName
from tests.channels.conformance import Bench, Outcomes

_SMTP = "an SMTP server greets first; test_smtp spoils its answers"


class NewsletterBench(Bench):
    name: ClassVar[str] = "newsletter"
    platform: ClassVar[str | None] = "newsletter"
    kind: ClassVar[str] = "mail"
    requests: ClassVar[int] = 0
    exempt: ClassVar[Mapping[str, str]] = {
        "delivered_leads_readers_to_it": "a mail has no address",
        "spoiled_answer_is_a_doubt": _SMTP,
        "no_answer_in_time_is_a_doubt": _SMTP,
        "throttle_lasts_as_long_as_the_platform_says": "a mail server does not say how long",
    }

    # 554 for a greeting means that our address is on a list: no mail service is ever "gone".
    outcomes: ClassVar[Mapping[FaultName, Outcomes]] = {FaultName.PAGE_GONE: (Throttled,)}
    health: ClassVar[Mapping[FaultName, HealthStatus]] = {
        FaultName.PAGE_GONE: HealthStatus.THROTTLED,
        # A relay that cannot take a message answers NOOP all the same.
        FaultName.SERVER_ERROR: HealthStatus.HEALTHY,
    }
    speaks_first: ClassVar[bool] = False

    def elsewhere(self, settings: Mapping[str, Any], base: str, port: int) -> Mapping[str, Any]:
        relays = [{**relay, "port": port} for relay in settings["relays"]]
        return {**settings, "relays": relays}


BENCH = NewsletterBench()
