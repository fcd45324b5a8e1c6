"""Who looks after the accounts, put together from a process's services."""

from __future__ import annotations

from scheduler.audience.links import audience_key
from scheduler.census import Census
from scheduler.collecting import Collector
from scheduler.comeback import Comeback
from scheduler.drill import Drill
from scheduler.health import Doctor
from scheduler.live_drill import LiveDrill
from scheduler.plan_b import PlanB
from scheduler.receipts import Taker
from scheduler.renewal import Renewer
from scheduler.returned import Patience, Returns
from scheduler.services import Services
from scheduler.teller import Teller
from scheduler.undo import Undo
from scheduler.watchman import Watchman
from scheduler.weighing import Scales


def plan_b_of(services: Services, actor: str) -> PlanB:
    """Moves deliveries on behalf of `actor`."""
    return PlanB(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        media_dir=services.settings.data_dir / "media",
        zone=services.settings.zone,
        actor=actor,
    )


def doctor_of(services: Services, actor: str) -> Doctor:
    """Probes on behalf of `actor`."""
    return Doctor(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        http=services.http,
        settings=services.settings,
        plan_b=plan_b_of(services, actor),
        actor=actor,
    )


def undo_of(services: Services) -> Undo:
    """Takes reroutes back."""
    return Undo(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        doorbell=services.doorbell,
        zone=services.settings.zone,
    )


def comeback_of(services: Services) -> Comeback:
    """Catches up on pages that returned."""
    return Comeback(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        doorbell=services.doorbell,
        zone=services.settings.zone,
    )


def teller_of(services: Services) -> Teller:
    """Tells people of alerts."""
    return Teller(
        database=services.database,
        clock=services.clock,
        settings=services.settings,
        vault=services.vault,
        http=services.http,
    )


def renewer_of(services: Services, actor: str) -> Renewer:
    """Renews credentials on behalf of `actor`."""
    return Renewer(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        vault=services.vault,
        actor=actor,
    )


def returns_of(services: Services) -> Returns:
    """Applies what comes back about readers."""
    settings = services.settings
    return Returns(
        database=services.database,
        key=audience_key(settings.audience_key.get_secret_value(), settings.data_dir),
        patience=Patience(refusals=settings.refusals_end, days=settings.refusals_days),
    )


def collector_of(services: Services) -> Collector:
    """Reads the mailboxes that bounces come back to."""
    return Collector(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        returns=returns_of(services),
        vault=services.vault,
    )


def taker_of(services: Services) -> Taker:
    """Takes what platforms call us back with."""
    settings = services.settings
    return Taker(
        database=services.database,
        clock=services.clock,
        key=audience_key(settings.audience_key.get_secret_value(), settings.data_dir),
        returns=returns_of(services),
    )


def watchman_of(services: Services) -> Watchman:
    """Tells when no worker is alive."""
    return Watchman(
        database=services.database,
        clock=services.clock,
        settings=services.settings,
        teller=teller_of(services),
    )


def drill_of(services: Services) -> Drill:
    """Rehearses plan B."""
    return Drill(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        media_dir=services.settings.data_dir / "media",
        zone=services.settings.zone,
    )


def live_drill_of(services: Services, actor: str) -> LiveDrill:
    """Rehearses plan B on the practice platforms."""
    return LiveDrill(
        roster=services.roster,
        http=services.http,
        settings=services.settings,
        drill=drill_of(services),
        doctor=doctor_of(services, actor),
        undo=undo_of(services),
    )


def census_of(services: Services) -> Census:
    """Counts followers."""
    return Census(database=services.database, roster=services.roster, clock=services.clock)


def scales_of(services: Services) -> Scales:
    """Weighs the basket."""
    return Scales(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        media_dir=services.settings.data_dir / "media",
        zone=services.settings.zone,
    )
