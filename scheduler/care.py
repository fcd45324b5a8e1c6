"""Who looks after the accounts: a doctor and a plan B, put together from a process's services."""

from __future__ import annotations

from scheduler.health import Doctor
from scheduler.plan_b import PlanB
from scheduler.services import Services


def plan_b_of(services: Services, actor: str) -> PlanB:
    """Moves deliveries on behalf of `actor`."""
    return PlanB(
        database=services.database,
        roster=services.roster,
        clock=services.clock,
        media_dir=services.settings.data_dir / "media",
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
