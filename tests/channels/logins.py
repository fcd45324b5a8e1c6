"""What a login in the browser keeps, whatever the platform; and a person at its dialog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import SecretStr

from channels.abilities import Connects
from channels.http import HttpClient
from channels.outcome import AccessLost, AccessReason, Unavailable

BACK = "https://estafette.example/connect/back"
STATE = "s t/1"

# Agrees in the dialog; the code that comes back.
CodeOf = Callable[..., Awaitable[str]]


async def answer_dialog(http: HttpClient, url: str, form: list[tuple[str, str]]) -> dict[str, str]:
    """What a person does in the dialog; the query with which their browser comes back."""
    assert (await http.request("GET", url)).status == 200
    reply = await http.request(
        "POST",
        url,
        data=urlencode(form).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert reply.status == 302
    back = urlsplit(reply.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    query = {name: values[0] for name, values in parse_qs(back.query).items()}
    assert query["state"] == STATE
    return query


class LoginPromises:
    """To be inherited beside fixtures `adapter`, `app`, `code_of`. `secret`: the field of `app`
    that holds it; `refused`: what the platform says when somebody cancels; `address`: where its
    tokens come from."""

    secret: ClassVar[str]
    refused: ClassVar[str]
    address: ClassVar[str]

    async def test_who_says_no_comes_back_without_a_code(
        self, adapter: Connects, app: Any, http: HttpClient
    ) -> None:
        url = adapter.authorize_url(app, redirect_uri=BACK, state=STATE)
        query = await answer_dialog(http, url, [("answer", "no")])
        assert query["error"] == self.refused
        assert "code" not in query

    async def test_a_code_is_good_once_and_for_its_own_address(
        self, adapter: Connects, app: Any, code_of: CodeOf
    ) -> None:
        code = await code_of(app)
        assert isinstance(await adapter.exchange(app, code=code, redirect_uri=BACK), list)
        again = await adapter.exchange(app, code=code, redirect_uri=BACK)
        assert isinstance(again, AccessLost)
        assert again.remedy
        assert code not in repr(again)
        other = await code_of(app)
        elsewhere = await adapter.exchange(app, code=other, redirect_uri="https://evil.example/")
        assert isinstance(elsewhere, AccessLost)

    async def test_a_wrong_secret_is_our_configuration(
        self, adapter: Connects, app: Any, code_of: CodeOf
    ) -> None:
        code = await code_of(app)
        wrong = app.model_copy(update={self.secret: SecretStr("guessed")})
        refused = await adapter.exchange(wrong, code=code, redirect_uri=BACK)
        assert isinstance(refused, AccessLost)
        assert refused.reason is AccessReason.MISCONFIGURED
        assert "guessed" not in repr(refused)

    async def test_no_answer_is_no_refusal(self, adapter: Connects, app: Any) -> None:
        nowhere = app.model_copy(update={self.address: "http://127.0.0.1:1/oauth"})
        ended = await adapter.exchange(nowhere, code="c", redirect_uri=BACK)
        assert isinstance(ended, Unavailable)
