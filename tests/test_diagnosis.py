import pytest

from channels.outcome import AccessReason, Health, HealthStatus
from scheduler.diagnosis import Known, Verdict, as_seen, weigh
from scheduler.visit import Sight, Visit, Visits

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
        (S.PLATFORM_DOWN, S.VANISHED, None, Verdict.NOTHING),
        (S.PLATFORM_DOWN, S.ACCESS_LOST, None, Verdict.NOTHING),
        (S.DEGRADED, S.HEALTHY, None, Verdict.DEGRADED),
        (S.DEGRADED, S.DEGRADED, None, Verdict.NOTHING),
        (S.HEALTHY, S.DEGRADED, None, Verdict.BACK),
    ],
)
def test_what_a_probe_means(
    found: HealthStatus, known: HealthStatus, suspected_at: int | None, verdict: Verdict
) -> None:
    health = Health(status=found)
    row = Known(status=known, since=990, suspected_at=suspected_at)
    assert weigh(health, row, now=1000, confirm_after_us=100) is verdict


def test_a_platform_that_stays_down_is_told() -> None:
    row = Known(status=S.PLATFORM_DOWN, since=800)
    down = Health(status=S.PLATFORM_DOWN)
    assert weigh(down, row, now=1000, confirm_after_us=100) is Verdict.STILL_DOWN


def test_another_reason_for_lost_access_is_news() -> None:
    row = Known(status=S.ACCESS_LOST, reason="token")
    lost = Health(status=S.ACCESS_LOST, reason=AccessReason.PERMISSION)
    assert weigh(lost, row, now=1000, confirm_after_us=100) is Verdict.LOST


def visits(desktop: Sight, phone: Sight) -> Visits:
    url = "https://www.example.com/page"
    return Visits(
        Visit(browser="desktop", url=url, sight=desktop),
        Visit(browser="phone", url=url, sight=phone),
    )


@pytest.mark.parametrize(
    ("said", "desktop", "phone", "seen"),
    [
        (S.HEALTHY, Sight.SEEN, Sight.SEEN, S.HEALTHY),
        (S.HEALTHY, Sight.UNKNOWN, Sight.UNKNOWN, S.HEALTHY),
        (S.HEALTHY, Sight.HIDDEN, Sight.UNKNOWN, S.HEALTHY),
        (S.HEALTHY, Sight.HIDDEN, Sight.SEEN, S.DEGRADED),
        (S.HEALTHY, Sight.SEEN, Sight.HIDDEN, S.DEGRADED),
        (S.HEALTHY, Sight.HIDDEN, Sight.HIDDEN, S.DEGRADED),
        (S.DEGRADED, Sight.SEEN, Sight.SEEN, S.DEGRADED),
        (S.VANISHED, Sight.SEEN, Sight.SEEN, S.VANISHED),
        (S.ACCESS_LOST, Sight.HIDDEN, Sight.HIDDEN, S.ACCESS_LOST),
        (S.PLATFORM_DOWN, Sight.HIDDEN, Sight.HIDDEN, S.PLATFORM_DOWN),
    ],
)
def test_what_visitors_see_corrects_what_the_api_says(
    said: HealthStatus, desktop: Sight, phone: Sight, seen: HealthStatus
) -> None:
    health = as_seen(Health(status=said), visits(desktop, phone), hidden_is_gone=False)
    assert health.status is seen


def test_a_page_nobody_sees_is_gone_where_its_owner_says_so() -> None:
    nobody = visits(Sight.HIDDEN, Sight.HIDDEN)
    health = as_seen(Health(status=S.HEALTHY), nobody, hidden_is_gone=True)
    assert health.status is S.VANISHED
