"""The basket: how much hangs on each account, and how that has changed."""

from __future__ import annotations

from scheduler.basket import BasketReport, TrendPoint
from scheduler.care import scales_of
from scheduler.store.tokens import Scope
from scheduler.web.endpoint import Call, Endpoints

endpoints = Endpoints("basket")


class BasketAnswer(BasketReport):
    """The basket now, and day by day (oldest first)."""

    trend: list[TrendPoint]


@endpoints.get("/basket", scope=Scope.READ)
async def show(call: Call) -> BasketAnswer:
    """Share of audience and deliveries by account, what has no other road, what plan B saves."""
    scales = scales_of(call.services)
    return {**await scales.weigh(), "trend": await scales.trend()}
