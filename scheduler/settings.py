"""Configuration from the environment (prefix `ESTAFETTE_`) or a `.env` file.

Every setting is described in `deploy/env.example`; a test compares the two.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from channels.local import local_url


class Settings(BaseSettings):
    """All settings of the service. Durations are seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="ESTAFETTE_", env_file=".env", env_file_encoding="utf-8", extra="ignore",
        frozen=True, hide_input_in_errors=True,
    )  # fmt: skip

    data_dir: Path = Field(Path("data"), description="Where the database, media and keys live.")
    database_url: str = Field(
        "",
        description="PostgreSQL as postgresql+asyncpg://…; empty: SQLite in the data directory.",
    )
    redis_url: str = Field(
        "",
        validation_alias=AliasChoices("ESTAFETTE_REDIS_URL", "REDIS_URL"),
        description="redis://… or unix://…; empty: the embedded server; 'none': SQL alone.",
    )
    redis_sentinel: str = Field(
        "",
        description="host:port,host:port of Redis Sentinels; redis_url then says how to log in to"
        " the servers they name: redis://user:password@any/0, rediss:// for TLS.",
    )
    redis_sentinel_password: SecretStr = Field(
        SecretStr(""), description="The Sentinels' own, if they ask for one."
    )
    redis_sentinel_master: str = Field("mymaster", description="The name Sentinel knows it by.")
    host: str = Field("127.0.0.1", description="Where the API listens.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the API and pages.")
    practice_port: int = Field(8081, ge=0, le=65535, description="Port of the practice platforms.")
    public_url: str = Field(
        "", description="How readers reach this service, for links; empty: this machine."
    )
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Fernet keys, comma-separated, newest first; empty: a key file in data_dir.",
    )
    audience_key: SecretStr = Field(
        SecretStr(""),
        description="Signs unsubscribe links, hashes suppressed addresses; empty: a file in"
        " data_dir. Never change it.",
    )
    apps: SecretStr = Field(
        SecretStr("{}"),
        description="Our applications at platforms where people log in to connect a page, as JSON:"
        ' {"ADAPTER": {"app_id": "…", …}, …}; needs public_url.',
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe events to log."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Lines for people, or one JSON object a line."
    )
    tracing: bool = Field(
        default=False,  # it needs an extra, and a collector
        description="Send traces by OTLP to OTEL_EXPORTER_OTLP_ENDPOINT; needs estafette[tracing].",
    )
    language: Literal["en", "fr"] = Field("en", description="Of alerts and pages.")
    zone: str = Field("Europe/Paris", description="IANA zone for local times without one.")
    site_name: str = Field("Blog", min_length=1, description="Title of the built-in blog.")
    site_description: str = Field("", description="One line below the blog's title.")
    site_author: str = Field("", description="Who publishes the blog, in its footer and feed.")
    alert_mail_to: str = Field(
        "",
        description="Who gets alerts by mail, comma-separated; fr:address or en:address for who"
        " reads another language than the service's.",
    )
    alert_mail_from: str = Field(
        "", description="Sender of alert mails; empty: the first of alert_mail_to."
    )
    alert_smtp_url: SecretStr = Field(
        SecretStr("smtp://127.0.0.1:25"),
        description="The alerts' own relay: smtp://user:password@host:587 (STARTTLS when offered)"
        " or smtps://…",
    )
    alert_gather: float = Field(
        5.0, ge=0, le=3600, description="Wait before telling, so that one cause is one mail."
    )
    copies_dir: Path | None = Field(
        None, description="Where an encrypted copy of the contacts goes each day; empty: none."
    )
    copies_recipients: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Who can open it: age1… or SSH public keys, comma-separated."
    )
    copies_passphrase: SecretStr = Field(
        SecretStr(""), description="Opens it, instead of copies_recipients."
    )
    copies_hour: int = Field(4, ge=0, le=23, description="When, in zone.")
    copies_keep: int = Field(14, ge=1, le=10_000, description="How many copies stay.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses and networks of your own proxies, comma-separated: what they say in"
        " X-Forwarded-For is noted as where a sign-up came from.",
    )
    signups_per_visitor: int = Field(
        20,
        ge=0,
        description="From one visitor's address (the first 64 bits of an IPv6 one) for one list"
        " within an hour; 0: any number. A proxy in front has to be named in trusted_proxies.",
    )
    signups_per_list: int = Field(
        1000, ge=0, description="For one list within an hour, from everywhere; 0: any number."
    )
    private_addresses_ok: bool = Field(
        default=False,  # a post must not become a way into the owner's network
        description="Let adapters reach private addresses (practice platforms, a local site).",
    )

    arm_ahead: float = Field(5.0, gt=0, le=60, description="How early due deliveries are claimed.")
    sweep_interval: float = Field(0.25, gt=0, le=10, description="Between two looks at SQL.")
    lease: float = Field(30.0, ge=5, le=300, description="How long a claim holds unrenewed.")
    send_timeout: float = Field(20.0, gt=0, le=120, description="Longest wait for a platform.")
    worker_concurrency: int = Field(
        100, ge=1, le=2000, description="Sends at once, per worker and channel."
    )
    grace: float = Field(25.0, ge=0, le=300, description="On SIGTERM, to finish what is in flight.")
    heartbeat_interval: float = Field(2.0, gt=0, le=30, description="Between signs of life.")
    worker_dead_after: float = Field(10.0, gt=1, le=300, description="Longer silence means dead.")
    max_tries: int = Field(6, ge=1, le=50, description="Attempts charged before giving up.")
    retry_base: float = Field(5.0, gt=0, description="First backoff, before jitter.")
    retry_cap: float = Field(900.0, gt=0, description="Longest backoff.")
    default_deadline_hours: float = Field(
        24.0, gt=0, description="How late a post may still be published when it does not say."
    )
    catch_up_gap: float = Field(
        60.0, ge=0, description="Between overdue posts of one account after an outage."
    )
    late_after: float = Field(
        900.0, gt=0, description="Lateness from which a post counts as overdue, not merely slow."
    )
    breaker_failures: int = Field(5, ge=1, description="Failures in a row that pause an account.")
    breaker_pause: float = Field(60.0, gt=0, description="First such pause; it doubles.")
    article_patience: float = Field(
        30.0,
        ge=0,
        description="Longest wait of a shortened text for the article that it leads to; it goes out"
        " without a link afterwards.",
    )
    find_patience: float = Field(
        600.0, ge=0, description="Longest wait for a platform's own listing to show a new post."
    )
    confirm_gone_after: float = Field(
        900.0, ge=0, description="Between the first sign that a page is gone and its confirmation."
    )
    history_after: float = Field(
        90.0, ge=1, description="Days after which attempts and events of a post that is over are"
        " packed together; still readable.",
    )  # fmt: skip
    probe_interval: float = Field(3600.0, gt=0, description="Between two probes of an account.")
    dns_server: str = Field(
        "",
        description="Whom the deliverability check asks, address or address:port; empty: the"
        " system's resolvers.",
    )
    mailbox_interval: float = Field(
        300.0, gt=0, description="Between two readings of the mailboxes that bounces come back to."
    )
    refusals_end: int = Field(
        5, ge=0, description="Days with refused mails that end writing to a reader; 0: never."
    )
    refusals_days: int = Field(60, ge=1, le=3650, description="Within how many days they count.")

    @field_validator("copies_dir", mode="before")
    @classmethod
    def _no_directory(cls, value: object) -> object:
        return value or None

    @field_validator("secret_keys", "copies_recipients", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one, strict=False)
            except ValueError as error:
                raise ValueError(f"trusted_proxies: {one!r} is no address or network") from error
        return value

    @field_validator("dns_server")
    @classmethod
    def _an_address(cls, value: str) -> str:
        parts = urlsplit(f"//{value or '[::1]'}")
        try:
            ip_address(parts.hostname or "")
            _ = parts.port
        except ValueError as error:
            raise ValueError("dns_server must be an address, or address:port") from error
        return value

    @field_validator("apps")
    @classmethod
    def _by_adapter(cls, value: SecretStr) -> SecretStr:
        try:
            held = json.loads(value.get_secret_value())
        except ValueError:
            held = None
        if not isinstance(held, dict) or not all(isinstance(app, dict) for app in held.values()):
            raise ValueError('apps must be JSON objects by adapter: {"adapter": {"…": "…"}}')
        return value

    @field_validator("alert_mail_to")
    @classmethod
    def _readers(cls, value: str) -> str:
        for one in value.split(","):
            language, colon, _ = one.strip().partition(":")
            if colon and language not in {"en", "fr"}:
                raise ValueError(
                    f"alert_mail_to: there is no language {language!r}; write fr:anne@example.org"
                )
        return value

    @field_validator("alert_smtp_url")
    @classmethod
    def _a_relay(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("alert_smtp_url must look like smtp://host:25 or smtps://host")
        return value

    @model_validator(mode="after")
    def _coherent(self) -> Settings:
        if self.send_timeout >= self.lease:
            raise ValueError("send_timeout must be shorter than lease: a send may not outlive it")
        if self.heartbeat_interval >= self.worker_dead_after:
            raise ValueError(
                "heartbeat_interval must be shorter than worker_dead_after: between two signs of"
                " life a worker would count as dead"
            )
        if self.redis_sentinel and not self.has_redis:
            raise ValueError(
                "redis_sentinel needs redis_url, which says how to log in to the servers that"
                " Sentinels name: redis://any/0 without a password"
            )
        ways = bool(self.copies_recipients) + bool(self.copies_passphrase.get_secret_value())
        if self.copies_dir is not None and ways != 1:
            raise ValueError("copies_dir needs copies_recipients or copies_passphrase, one of them")
        return self

    @property
    def effective_database_url(self) -> str:
        """`database_url`, or SQLite in the data directory."""
        if self.database_url:
            return self.database_url
        return f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'estafette.db'}"

    @property
    def has_redis(self) -> bool:
        """Whether one is named."""
        return self.redis_url not in {"", "none"}

    @property
    def effective_public_url(self) -> str:
        return self.public_url.rstrip("/") or self.local_url

    @property
    def local_url(self) -> str:
        """Where this machine's own commands reach the API."""
        return local_url(self.host, self.port)

    @property
    def alert_readers(self) -> dict[str, list[str]]:
        """Who gets alerts by mail, by the language they read."""
        readers: dict[str, list[str]] = {}
        for one in filter(None, (part.strip() for part in self.alert_mail_to.split(","))):
            language, colon, address = one.partition(":")
            readers.setdefault(language if colon else self.language, []).append(
                address.strip() if colon else one
            )
        return readers

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """The hosts whose links are ours."""
        host = self.effective_public_url.split("://", 1)[-1].split("/", 1)[0]
        return (host.rsplit(":", 1)[0],)
