"""Is this an address that mail can reach? The usual ones are known at a glance."""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, validate_email

from scheduler.audience.suppression import normal_address

# What the library would accept unchanged: plain ASCII, no quoting, a dot in the domain, and no
# part that begins or ends with a hyphen. Everything else is for the library to judge.
_USUAL = re.compile(
    r"[a-z0-9_+]+(?:[.-][a-z0-9_+]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+[a-z]{2,24}", re.ASCII
)
_SPECIAL = (
    ".local", ".test", ".invalid", ".localhost", ".arpa", ".onion", ".internal", ".alt", ".in-addr",
)  # fmt: skip
LONGEST_LOCAL = 64  # RFC 5321, section 4.5.3.1.1


class AddressError(ValueError):
    """No mail can be sent to it; the message says why."""


class AccentError(AddressError):
    """The part before the @ is not plain ASCII."""


def usable_address(text: str) -> str:
    """The address in its one spelling. Error: AddressError.

    Whether the mailbox is there only a mail can tell.
    """
    address = normal_address(text)
    local, _, domain = address.rpartition("@")
    if (
        len(local) <= LONGEST_LOCAL
        and len(domain) <= 200
        and _USUAL.fullmatch(address)
        and not domain.endswith(_SPECIAL)
    ):
        return address
    return _judged(address)


def _judged(address: str) -> str:
    if not address:
        raise AddressError("there is no address")
    try:
        found = validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise AddressError(str(error)) from error
    if found.ascii_email is None:
        raise AccentError("the part before the @ is not plain ASCII, which few servers take")
    if len(found.ascii_email.rpartition("@")[0]) > LONGEST_LOCAL:
        raise AddressError("the part before the @ is longer than 64 characters")
    return normal_address(found.ascii_email)
