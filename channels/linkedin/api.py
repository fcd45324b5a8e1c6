"""Calls of the versioned REST API, with the headers and the encoding that it insists on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import AwareDatetime, Field, SecretStr
from yarl import URL

from channels.base import ChannelSettings
from channels.exchange import Answer, NoAnswer, ask
from channels.http import DEFAULT_TIMEOUT, HttpClient
from channels.linkedin.errors import outcome_of
from channels.linkedin.version import NEWEST_KNOWN
from channels.steps import Stopped

Address = Annotated[str, Field(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]


class LinkedInSettings(ChannelSettings):
    """One organisation page. Access tokens live 60 days; only approved partner apps get a refresh
    token, which lives 365 days from the first consent and is not extended by refreshing.

    `read_back`: after publishing, read the text and compare its end (needs the scope
    `r_organization_social`); by default only when it has reserved characters, which are what
    LinkedIn is known to cut at. `follower_edge`: what LinkedIn calls following a page.
    """

    page_fields: ClassVar[tuple[str, ...]] = ("organization_id", "api_url")

    organization_id: Annotated[str, Field(pattern=r"^\d{1,20}$")]
    access_token: SecretStr
    access_expires_at: AwareDatetime | None = None
    refresh_token: SecretStr | None = None
    refresh_expires_at: AwareDatetime | None = None
    client_id: str = ""
    client_secret: SecretStr | None = None
    version: Annotated[str, Field(pattern=r"^20\d{2}(0[1-9]|1[0-2])$")] = NEWEST_KNOWN
    read_back: Literal["reserved", "always", "never"] = "reserved"
    follower_edge: Annotated[str, Field(pattern=r"^\w+$")] = "COMPANY_FOLLOWED_BY_MEMBER"
    api_url: Address = "https://api.linkedin.com"
    oauth_url: Address = "https://www.linkedin.com/oauth/v2"
    public_url: Address = "https://www.linkedin.com"

    @property
    def author(self) -> str:
        return f"urn:li:organization:{self.organization_id}"

    @property
    def ends_at(self) -> datetime | None:
        """When a person has to connect the page again, None if not known."""
        return self.refresh_expires_at if self.refresh_token else self.access_expires_at

    @property
    def secrets(self) -> tuple[str, ...]:
        held = (self.access_token, self.refresh_token, self.client_secret)
        return tuple(secret.get_secret_value() for secret in held if secret)

    def permalink(self, urn: str) -> str:
        return f"{self.public_url}/feed/update/{urn}"


def encoded(urn: str) -> str:
    """A URN as Rest.li wants it in paths and parameters: every colon encoded."""
    return quote(urn, safe="")


async def call(
    http: HttpClient,
    settings: LinkedInSettings,
    method: str,
    path: str,
    *,
    writes: bool = False,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 -- handed on to aiohttp, which enforces it
    restli_method: str = "",
    json_body: Any = None,
) -> Answer | NoAnswer:
    """Call `path` (already encoded) below `/rest/`."""
    headers = {
        "Authorization": f"Bearer {settings.access_token.get_secret_value()}",
        "LinkedIn-Version": settings.version,
        "X-Restli-Protocol-Version": "2.0.0",
    }
    if restli_method:
        headers["X-RestLi-Method"] = restli_method
    return await ask(
        http,
        method,
        # A string would be normalised, and `%3A` turned back into `:`.
        URL(f"{settings.api_url}/rest/{path}", encoded=True),
        writes=writes,
        secrets=settings.secrets,
        headers=headers,
        json_body=json_body,
        timeout=timeout,
    )


async def fetch(
    http: HttpClient,
    settings: LinkedInSettings,
    path: str,
    now: datetime,
    *,
    restli_method: str = "",
) -> Answer:
    """A read that has to succeed. Error: `Stopped` with what went wrong."""
    answer = await call(http, settings, "GET", path, restli_method=restli_method)
    return succeeded(answer, now)


def succeeded(answer: Answer | NoAnswer, now: datetime) -> Answer:
    """The answer of a call that publishes nothing, if it is a success. Error: `Stopped`."""
    if not isinstance(answer, Answer):
        raise Stopped(answer)
    if not 200 <= answer.status < 300:
        raise Stopped(outcome_of(answer, writes=False, now=now))
    return answer
