"""Request shapes that several endpoints share."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from scheduler.refusals import invalid


class ById(BaseModel):
    """Which one."""

    id: Annotated[str, Field(min_length=1, max_length=36)]


class Query(BaseModel):
    """Refuses unknown parameters: a misspelt filter would show everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Query):
    """A part of a long list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[
        str | None, Field(max_length=200, description="`next` of the page before.")
    ] = None

    @property
    def after(self) -> tuple[int, str] | None:
        """Where the page before ended. Error: RefusedError for a cursor that is not ours."""
        if self.cursor is None:
            return None
        try:
            moment, _, identity = base64.urlsafe_b64decode(self.cursor).decode().partition(":")
            return int(moment), identity
        except (ValueError, binascii.Error) as error:
            raise invalid(
                "cursor", "this is no cursor of ours", "use `next` of the page before"
            ) from error


def cursor(moment: int, identity: str) -> str:
    """The cursor of a page that ends here."""
    return base64.urlsafe_b64encode(f"{moment}:{identity}".encode()).decode()
