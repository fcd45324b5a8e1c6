"""What connects a newsletter: who writes, through which relays, signed with which key."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from channels.base import ChannelSettings
from channels.newsletter.feedback.settings import Feedback

HOSTNAME = r"^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*$"


def _one_line(text: str) -> str:
    if any(not character.isprintable() for character in text):
        raise ValueError("must be one line without control characters")
    return text.strip()


def _address(text: str) -> str:
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    if found.ascii_email is None:
        raise ValueError("the part before the @ must be plain ASCII letters")
    return found.ascii_email


Line = Annotated[str, AfterValidator(_one_line)]
Address = Annotated[str, AfterValidator(_address)]
DomainName = Annotated[str, Field(pattern=r"^(\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*)$", max_length=253)]
Hostname = Annotated[str, Field(pattern=HOSTNAME, max_length=253)]


class Relay(BaseModel):
    """One SMTP server that takes our mail. `ca_file`: the certificate authority to trust instead
    of the system's, for a relay of one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    ca_file: Path | None = None
    per_minute: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Relay:
        if self.username and self.tls == "none" and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host}: a password is never sent unencrypted; "
                "set tls to 'starttls' (port 587) or 'tls' (port 465)"
            )
        return self

    @property
    def label(self) -> str:
        return f"{self.host}:{self.port}"


class MailboxOAuth(BaseModel):
    """How to get access tokens for a mailbox that takes no password: of the application that its
    owner registered at the provider (`token_url`: https://oauth2.googleapis.com/token,
    https://login.microsoftonline.com/common/oauth2/v2.0/token), with the refresh token that it was
    given. Microsoft wants `scope`: https://outlook.office.com/IMAP.AccessAsUser.All
    offline_access."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token_url: str = Field(max_length=500)
    client_id: Line = Field(min_length=1, max_length=500)
    client_secret: SecretStr = SecretStr("")
    refresh_token: SecretStr = Field(min_length=1)
    scope: Line = Field(default="", max_length=1000)

    @field_validator("token_url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        url = urlsplit(value)
        if url.hostname and (
            url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname))
        ):
            return value
        raise ValueError("must be an https:// address: secrets are sent there")


class Mailbox(BaseModel):
    """The IMAP mailbox that `envelope_from` leads to. Mails that told us something are marked as
    seen, or moved to the folder `move_to`; all others are left as they are. Either `password` or
    `oauth`, which Gmail and Microsoft 365 want. `ca_file`: as a relay's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=993, ge=1, le=65535)
    tls: Literal["none", "starttls", "tls"] = "tls"
    username: str = Field(min_length=1, max_length=320)
    password: SecretStr | None = None
    oauth: MailboxOAuth | None = None
    folder: Line = Field(default="INBOX", min_length=1, max_length=200)
    move_to: Line = Field(default="", max_length=200)
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Mailbox:
        if (self.password is None) == (self.oauth is None):
            raise ValueError("give either password or oauth: the way to log in")
        if self.tls == "none" and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host}: a password is never sent unencrypted; "
                "set tls to 'tls' (port 993) or 'starttls' (port 143)"
            )
        if self.move_to == self.folder:
            raise ValueError("move_to must be another folder than the one that is read")
        return self

    @property
    def label(self) -> str:
        return f"{self.host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Dkim(BaseModel):
    """The key whose public half stands in DNS at `<selector>._domainkey.<domain>`. `sign` false:
    it waits to be published."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    selector: Hostname
    domain: Hostname
    private_key: SecretStr
    sign: bool = True

    @field_validator("private_key")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        try:
            key = load_pem_private_key(value.get_secret_value().encode(), password=None)
        except (TypeError, ValueError) as error:
            raise ValueError("not an unencrypted private key in PEM form") from error
        if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < 2048:
            raise ValueError("DKIM wants an RSA key of at least 2,048 bits")
        return value


class NewsletterSettings(ChannelSettings):
    """One newsletter.

    `publisher` is the identity and postal address that the law wants in the footer. `list_id` is
    the List-Id of RFC 2919 (`news.example.org`). `envelope_from` receives bounces, at
    `local+tag@domain`, where the tag names the reader, and `returns` is where they are read;
    `feedback`: the provider that tells us by webhook, at `/hooks/ACCOUNT`;
    `unsubscribe_mailto` unsubscribes by mail. Both default to `from_address`, which gets no tag and
    is for a person to read; but with `returns` whoever unsubscribes by mail writes there, and is
    unsubscribed. `message_id_domain` is ours and defaults to that of `from_address`; it also names
    us to the relay (EHLO).
    `timeout` is in seconds, for each answer of a relay. A relay's `per_minute` and
    `domain_limits` (`{"gmail.com": 600, "*": 60}`) are mails a minute, over all mailings.
    `uncertain`: whoever may have got a mail, because a worker was killed or an answer was lost, is
    named and not written to again (`hold`), or is, with the same Message-ID (`resend`).
    """

    from_address: Address
    from_name: Line = Field(default="", max_length=200)
    reply_to: Address | None = None
    list_id: Hostname | None = None
    publisher: str = Field(min_length=1, max_length=1000)
    envelope_from: Address | None = None
    unsubscribe_mailto: Address | None = None
    message_id_domain: Hostname | None = None
    returns: Mailbox | None = None
    feedback: Feedback | None = None
    relays: tuple[Relay, ...] = Field(min_length=1)
    dkim: Dkim | None = None
    timeout: float = Field(default=60.0, gt=0, le=600)
    uncertain: Literal["hold", "resend"] = "hold"
    domain_limits: dict[DomainName, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    @property
    def domain(self) -> str:
        return self.message_id_domain or self.from_address.rpartition("@")[2]

    def model_post_init(self, _context: Any, /) -> None:
        if self.returns is not None and self.envelope_from is None:
            raise ValueError(
                "returns needs envelope_from: bounces come back to local+tag@domain, and the tag"
                " says whose they are"
            )
        if self.dkim is None:
            return
        ours = self.from_address.rpartition("@")[2].lower()
        signed = self.dkim.domain.lower()
        if ours != signed and not ours.endswith("." + signed) and not signed.endswith("." + ours):
            raise ValueError(
                f"dkim.domain {signed} does not match the domain of from_address, {ours}: "
                "DMARC would not align; sign with the sender's own domain"
            )
