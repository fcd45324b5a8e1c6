"""What the buttons of the pages do: each is a decision that the API offers too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from scheduler.care import comeback_of, doctor_of, plan_b_of, undo_of
from scheduler.refusals import invalid
from scheduler.services import Services
from scheduler.web.api.accounts import set_paused, set_resumed
from scheduler.web.api.drills import rehearse


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A button that was pressed. `id`: of a delivery, post or account, as the button has it;
    `account`: where to send it, for `redirect`."""

    services: Services
    id: str
    actor: str
    account: str = ""


# Where to go afterwards; empty: back to the page with the button. Errors: RefusedError.
Decide = Callable[[Asked], Awaitable[str]]


async def _retry(asked: Asked) -> str:
    await asked.services.desk.retry(asked.id, asked.actor)
    return ""


async def _cancel(asked: Asked) -> str:
    await asked.services.desk.cancel(asked.id, asked.actor)
    return ""


async def _cancel_post(asked: Asked) -> str:
    await asked.services.desk.cancel_post(asked.id, asked.actor)
    return ""


async def _publish_now(asked: Asked) -> str:
    await asked.services.desk.publish_now(asked.id, asked.actor)
    return ""


async def _seen(asked: Asked) -> str:
    await asked.services.desk.settle(asked.id, published=True, url=None, actor=asked.actor)
    return ""


async def _repost(asked: Asked) -> str:
    await asked.services.desk.settle(asked.id, published=False, url=None, actor=asked.actor)
    return ""


async def _redirect(asked: Asked) -> str:
    if not asked.account:
        raise invalid("account", "no account was chosen", "choose where it should go")
    await asked.services.desk.redirect(asked.id, asked.account, asked.actor)
    return ""


async def _approve(asked: Asked) -> str:
    await plan_b_of(asked.services, asked.actor).approve(asked.id)
    return ""


async def _undo(asked: Asked) -> str:
    await undo_of(asked.services).one(asked.id, asked.actor)
    return ""


async def _undo_all(asked: Asked) -> str:
    await undo_of(asked.services).account(asked.id, asked.actor)
    return ""


async def _catch_up(asked: Asked) -> str:
    post_id = await comeback_of(asked.services).publish(asked.id, asked.actor)
    return f"/posts/{post_id}"


async def _look(asked: Asked) -> str:
    await doctor_of(asked.services, asked.actor).probe(asked.id)
    return ""


async def _drill(asked: Asked) -> str:
    drill_id = await rehearse(asked.services, asked.id, asked.actor, live=False)
    return f"/drills/{drill_id}"


async def _pause(asked: Asked) -> str:
    await set_paused(asked.services, asked.id, None, asked.actor)
    return ""


async def _resume(asked: Asked) -> str:
    await set_resumed(asked.services, asked.id, asked.actor)
    return ""


DECISIONS: Mapping[str, Decide] = {
    "retry": _retry,
    "cancel": _cancel,
    "cancel_post": _cancel_post,
    "publish_now": _publish_now,
    "seen": _seen,
    "repost": _repost,
    "redirect": _redirect,
    "approve": _approve,
    "undo": _undo,
    "undo_all": _undo_all,
    "catch_up": _catch_up,
    "look": _look,
    "drill": _drill,
    "pause": _pause,
    "resume": _resume,
}
