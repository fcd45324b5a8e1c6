import pytest

from channels.outcome import Health, HealthStatus
from scheduler.diagnosis import Verdict, weigh

S = HealthStatus


@pytest.mark.parametrize(
    ("found", "known", "suspected_at", "verdict"),
    [
        (S.VANISHED, S.HEALTHY, None, Verdict.SUSPECT),
        (S.VANISHED, S.HEALTHY, 950, Verdict.WAIT),
        (S.VANISHED, S.HEALTHY, 800, Verdict.VANISHED),
        (S.VANISHED, S.VANISHED, 800, Verdict.NOTHING),
        (S.PLATFORM_DOWN, S.HEALTHY, 800, Verdict.WAIT),
        (S.PLATFORM_DOWN, S.HEALTHY, None, Verdict.PASSING),
        (S.THROTTLED, S.HEALTHY, None, Verdict.PASSING),
        (S.ACCESS_LOST, S.HEALTHY, None, Verdict.LOST),
        (S.ACCESS_LOST, S.HEALTHY, 800, Verdict.LOST),
        (S.ACCESS_LOST, S.ACCESS_LOST, None, Verdict.NOTHING),
        (S.HEALTHY, S.HEALTHY, None, Verdict.NOTHING),
        (S.HEALTHY, S.HEALTHY, 800, Verdict.BACK),
        (S.HEALTHY, S.VANISHED, 800, Verdict.BACK),
        (S.DEGRADED, S.HEALTHY, None, Verdict.BACK),
    ],
)
def test_what_a_probe_means(
    found: HealthStatus, known: HealthStatus, suspected_at: int | None, verdict: Verdict
) -> None:
    health = Health(status=found)
    assert (
        weigh(health, status=known, suspected_at=suspected_at, now=1000, confirm_after_us=100)
        is verdict
    )
