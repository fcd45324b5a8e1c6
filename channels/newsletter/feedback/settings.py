"""Which provider tells us of our mails, and how we know that it is the provider."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_CONFIG = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Mailgun(BaseModel):
    """`signing_key`: Mailgun's HTTP webhook signing key."""

    model_config = _CONFIG

    provider: Literal["mailgun"]
    signing_key: SecretStr


class Brevo(BaseModel):
    """`token`: long, made by you, given to Brevo as the webhook's bearer token."""

    model_config = _CONFIG

    provider: Literal["brevo"]
    token: SecretStr = Field(min_length=20)


class AmazonSes(BaseModel):
    """`topic_arn`: of the SNS topic that SES publishes bounces, complaints and deliveries to,
    with this
    account's address as its subscriber."""

    model_config = _CONFIG

    provider: Literal["amazon-ses"]
    topic_arn: str = Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}$")


Feedback = Annotated[Mailgun | Brevo | AmazonSes, Field(discriminator="provider")]
