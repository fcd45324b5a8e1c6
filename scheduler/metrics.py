"""Prometheus metrics of the engine and the API. Lateness is request begun minus due time."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

LATENESS = Histogram(
    "estafette_lateness_seconds",
    "Request begun minus due time",
    ["channel"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
OUTCOMES = Counter("estafette_outcomes_total", "Outcomes of attempts", ["channel", "outcome"])
CLAIMS = Counter("estafette_claims_total", "Deliveries armed")
ARMED = Gauge("estafette_armed", "Deliveries armed and waiting in this worker")
IN_FLIGHT = Gauge("estafette_in_flight", "Sends under way in this worker")
QUEUE_DEPTH = Gauge("estafette_queue_depth", "Deliveries by state that are not final", ["state"])
LEASES_LOST = Counter("estafette_leases_lost_total", "Outcomes that came after the lease was lost")
RESCUED = Counter("estafette_rescued_total", "Deliveries taken over from a dead worker", ["to"])
_RESCUED_TO = ("scheduled", "unconfirmed", "delivered")
RECONCILED = Counter(
    "estafette_reconciled_total", "Looks for unconfirmed deliveries, by what was found", ["found"]
)
REROUTED = Counter("estafette_rerouted_total", "Deliveries that found another road", ["to"])
REDIS_UP = Gauge("estafette_redis_up", "1 when the doorbell's Redis answers, NaN without one")
REDIS_UP.set(float("nan"))
DB_UP = Gauge("estafette_db_up", "1 when the database answers this process")
DB_ANSWER = Gauge("estafette_db_answer_seconds", "Time the database took for a short read")
DB_ERRORS = Counter("estafette_db_errors_total", "Database operations that failed", ["where"])
RETURNS = Counter("estafette_returns_total", "Reports that came back about readers", ["kind"])
TICKS = Counter("estafette_ticks_total", "Doorbell ticks heard")

HTTP_REQUESTS = Histogram(
    "estafette_http_request_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
POSTS_ACCEPTED = Counter("estafette_posts_accepted_total", "Posts committed with their deliveries")


def begin(channels: Iterable[str]) -> None:
    """Say 0 of what alerts ask for before it happens: of a sample that comes from nowhere,
    Prometheus cannot tell by how much it grew, and the first accident would be nobody's."""
    for to in _RESCUED_TO:
        RESCUED.labels(to)
    for channel in channels:
        REROUTED.labels(channel)
        LATENESS.labels(channel)
