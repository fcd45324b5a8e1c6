"""Many mails on one connection, each envelope travelling behind the final dot of the mail before.

With PIPELINING (RFC 2920) that makes one round trip a mail, and one write. Replies are read where
they arrive, without a task that has to be woken for each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from channels.base import Recipient
from channels.newsletter.compose import Mail
from channels.newsletter.replies import Reply, Stage, code_of, outcome_of
from channels.newsletter.wire import LostError, Wire
from channels.outcome import AccessLost, Unreachable
from channels.streams import Crowd

# Below this a mail and its final dot leave in one write; above, the dot waits until the rest left.
ONE_WRITE = 48 * 1024

_YES = ord("2")
_END = b".\r\n"
# Their replies wait for that of DATA, which says what the server made of them.
_FOREWORD = frozenset({Stage.RESET, Stage.SENDER, Stage.RECIPIENT})
_ENVELOPE = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA)

Pack = Callable[[Recipient, str], Mail | Unreachable]


@dataclass(slots=True)
class Parcel:
    """One mail under way. `refusal`: what the server said of it, when that is for the caller to
    judge because it speaks of the whole connection."""

    recipient: Recipient
    key: str
    mail: Mail
    refusal: tuple[Stage, Reply] | None = None


class Stream:
    """One stretch of mails to a crowd, until nobody is next or the connection is of no more use.

    Afterwards `back` holds the mails that were certainly not taken and not judged, `doubtful` the
    one that was sent whole when the connection broke (`lost` says how); `idle`: nobody was next.
    `dirty`: the server may have an envelope open.
    """

    def __init__(
        self, wire: Wire, crowd: Crowd, pack: Pack, *, relay: str, timeout: float, dirty: bool
    ) -> None:
        self._wire, self._crowd, self._pack = wire, crowd, pack
        self._relay, self._timeout = relay, timeout
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._due: deque[Stage] = deque()
        self._refusal: tuple[Stage, Reply] | None = None
        self._at: Parcel | None = None
        self._ahead: Parcel | None = None
        self._tail = False  # a large body is on its way, its final dot has not left
        self._winding_up = False
        self._heard_at = 0.0
        self.dirty = dirty
        self.idle = False
        self.mails = 0
        self.back: list[Parcel] = []
        self.doubtful: Parcel | None = None
        self.lost = ""

    async def run(self) -> None:
        """Write until the end of this stretch. Raises only what nobody foresaw."""
        wire = self._wire
        wire.listener = self._heard
        self._heard_at = self._loop.time()
        watch = self._loop.call_later(self._timeout, self._watch)
        try:
            self._guarded(self._begin)
            await self._done
        finally:
            wire.listener = None
            watch.cancel()

    # --- What arrives ----------------------------------------------------------------------

    def _heard(self) -> None:
        self._heard_at = self._loop.time()
        self._guarded(self._read)

    def _guarded(self, step: Callable[[], None]) -> None:
        if self._done.done():
            return
        try:
            step()
            if self._wire.lost is not None and not self._done.done():
                self._hung_up(self._wire.lost)
        except LostError as error:
            self._hung_up(str(error))
        except Exception as error:  # noqa: BLE001 -- raised by `run`, not lost in a callback
            self._hung_up(f"unforeseen {type(error).__name__}")
            if not self._done.done():
                self._done.set_exception(error)
            self._wire.give_up(self.lost)

    def _read(self) -> None:
        replies, due = self._wire.replies, self._due
        while replies:
            if not due:
                self._wire.give_up("the server spoke out of turn: " + repr(replies[0][:80]))
                return
            stage, reply = due.popleft(), replies.popleft()
            if stage in _FOREWORD:
                if reply[0] != _YES and self._refusal is None:
                    self._refusal = stage, Reply.read(reply)
                continue
            self._take(stage, reply)
            if self._done.done():
                return
        if self._tail and not self._wire.full and self._wire.lost is None:
            self._end_body()

    def _take(self, stage: Stage, reply: bytes) -> None:
        match stage:
            case Stage.BODY:
                self._body_answered(reply)
            case Stage.DATA:
                self._data_answered(reply)
            case _:
                self._begin()

    def _body_answered(self, reply: bytes) -> None:
        parcel, self._at = self._at, None
        assert parcel is not None
        self.mails += 1
        if reply[0] == _YES:
            self._crowd.taken(parcel.recipient, code_of(reply))
        else:
            self._judge(parcel, Stage.BODY, Reply.read(reply))
        if self._ahead is None:
            self._begin()

    def _data_answered(self, reply: bytes) -> None:
        refusal, self._refusal = self._refusal, None
        willing = reply.startswith(b"354")
        if refusal is None and willing:
            self._send_body()
            return
        parcel, self._ahead = self._ahead, None
        assert parcel is not None
        self.dirty = True
        self._judge(parcel, *(refusal or (Stage.DATA, Reply.read(reply))))
        if willing:
            # RFC 2920: the server wants a message all the same; an empty one goes to nobody.
            self._wire.write(_END)
            self._due.append(Stage.EMPTY)
        else:
            self._begin()

    def _judge(self, parcel: Parcel, stage: Stage, reply: Reply) -> None:
        """A refusal; one that speaks of the connection or the relay ends the stretch."""
        outcome = outcome_of(stage, reply, self._relay)
        if reply.code in {421, 503} or isinstance(outcome, AccessLost):
            parcel.refusal = None if reply.code == 503 else (stage, reply)
            self.back.append(parcel)
            self._winding_up = True
        elif self._crowd.answered(parcel.recipient, outcome):
            self._winding_up = True

    # --- What leaves -----------------------------------------------------------------------

    def _begin(self) -> None:
        """Open the next envelope; with nobody next the stretch is over."""
        envelope = self._envelope()
        if envelope:
            self._wire.write(envelope)
        elif self._at is None and not self._done.done():
            self._done.set_result(None)

    def _envelope(self) -> bytes:
        parcel = self._pick()
        if parcel is None:
            return b""
        self._ahead = parcel
        reset = b""
        if self.dirty:
            self.dirty, reset = False, b"RSET\r\n"
            self._due.append(Stage.RESET)
        self._due.extend(_ENVELOPE)
        mail = parcel.mail
        return b"%bMAIL FROM:<%b>\r\nRCPT TO:<%b>\r\nDATA\r\n" % (
            reset, mail.sender, mail.recipient,
        )  # fmt: skip

    def _pick(self) -> Parcel | None:
        while not self._winding_up:
            chosen = self._crowd.next()
            if chosen is None:
                self.idle = True
                return None
            self.idle = False
            recipient, key = chosen
            mail = self._pack(recipient, key)
            if isinstance(mail, Mail):
                return Parcel(recipient, key, mail)
            if self._crowd.answered(recipient, mail):
                self._winding_up = True
        return None

    def _send_body(self) -> None:
        parcel, self._ahead = self._ahead, None
        assert parcel is not None
        if not self._crowd.leaving(parcel.recipient):
            # Nothing of this mail has left; hanging up is the one way to take its envelope back.
            self._wire.give_up("hung up by us in front of a mail that must not leave")
            return
        self._at = parcel
        body = parcel.mail.stuffed
        if len(body) > ONE_WRITE:
            self._tail = True
            self._wire.write(body)
            if not self._wire.full:
                self._end_body()
        else:
            self._due.append(Stage.BODY)
            self._wire.write(b"".join((body, _END, self._envelope())))

    def _end_body(self) -> None:
        self._tail = False
        self._due.append(Stage.BODY)
        self._wire.write(_END + self._envelope())

    # --- How it ends -----------------------------------------------------------------------

    def _hung_up(self, why: str) -> None:
        self.lost = why
        if self._at is not None:
            if self._tail:
                self.back.append(self._at)
            else:
                self.doubtful = self._at
        if self._ahead is not None:
            self.back.append(self._ahead)
        self._at = self._ahead = None
        self._tail = False
        if not self._done.done():
            self._done.set_result(None)

    def _watch(self) -> None:
        if self._done.done():
            return
        left = self._heard_at + self._timeout - self._loop.time()
        if left <= 0:
            self._wire.give_up(f"no answer for {self._timeout:g} seconds")
        else:
            self._loop.call_later(left, self._watch)
