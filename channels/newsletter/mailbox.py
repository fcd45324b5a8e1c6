"""Bounces and complaints from an IMAP mailbox: read, and put away once they are known.

imapclient waits, so that all of it runs in a thread; one visit is one connection.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from imapclient import SEEN, IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from channels.abilities import Bookmark, Haul
from channels.newsletter.relay import tls_context
from channels.newsletter.settings import Mailbox
from channels.outcome import AccessLost, AccessReason, Evidence, Unavailable

AT_ONCE = 50
# What a report says stands at its head; the mail that it encloses may be long.
MOST_BYTES = 256 * 1024
TIMEOUT = 20.0
_NO_PASSWORDS = ("gmail.com", "googlemail.com", "office365.com", "outlook.com")
Found = TypeVar("Found")
_BODY = f"BODY.PEEK[]<0.{MOST_BYTES}>"
_BODY_ANSWER = b"BODY[]<0>"


def visit(
    mailbox: Mailbox, since: Bookmark | None, handled: Sequence[int], token: str = ""
) -> Haul | AccessLost | Unavailable:
    """Put away what was handled, then read what is new; waits for the server. `token`: to log in
    with instead of the password."""
    return _inside(mailbox, token, lambda client: _visit(client, mailbox, since, handled))


def check(mailbox: Mailbox, token: str = "") -> AccessLost | Unavailable | None:
    """Log in and open the folder, and change nothing; waits for the server. None: all is well."""
    return _inside(mailbox, token, lambda client: _missing(client, mailbox))


def _inside(
    mailbox: Mailbox, token: str, work: Callable[[IMAPClient], Found | AccessLost]
) -> Found | AccessLost | Unavailable:
    try:
        with _open(mailbox, token) as client:
            return work(client)
    except LoginError as error:
        return _lost(
            mailbox,
            detail=f"login refused ({_words(error)})",
            remedy=_login_remedy(mailbox),
            reason=AccessReason.TOKEN,
        )
    except (OSError, IMAPClientError) as error:
        # imaplib's own errors, which these are made of, say how the connection broke.
        return Unavailable(
            reason=f"{mailbox.label}: {_words(error)}",
            evidence=Evidence(request=f"IMAP {mailbox.label}", excerpt=_words(error)),
        )


@contextmanager
def _open(mailbox: Mailbox, token: str) -> Iterator[IMAPClient]:
    context = None if mailbox.tls == "none" else tls_context(mailbox.ca_file)
    client = IMAPClient(
        mailbox.host,
        port=mailbox.port,
        ssl=mailbox.tls == "tls",
        ssl_context=context if mailbox.tls == "tls" else None,
        timeout=TIMEOUT,
    )
    try:
        if mailbox.tls == "starttls":
            _encrypt(client, context)
        _log_in(client, mailbox, token)
        yield client
    finally:
        _leave(client)


def _log_in(client: IMAPClient, mailbox: Mailbox, token: str) -> None:
    """Error: LoginError."""
    if mailbox.password is not None:
        client.login(mailbox.username, mailbox.password.get_secret_value())
    elif client.has_capability("AUTH=OAUTHBEARER"):
        client.oauthbearer_login(mailbox.username, token)
    else:
        client.oauth2_login(mailbox.username, token)


def _login_remedy(mailbox: Mailbox) -> str:
    if mailbox.oauth is not None:
        return "let the application read this user's mailbox: scope and user have to fit"
    if mailbox.host.endswith(_NO_PASSWORDS):
        return "this provider takes no password: set oauth in the account's settings, under returns"
    return "correct user and password in the account's settings, under returns"


def _leave(client: IMAPClient) -> None:
    """A server that is gone gets no goodbye, and its socket is closed all the same."""
    try:
        client.logout()
    except (OSError, IMAPClientError):
        with suppress(OSError):
            client.shutdown()


def _encrypt(client: IMAPClient, context: ssl.SSLContext | None) -> None:
    """Error: IMAPClientError when the server does not, for a password is to follow."""
    client.starttls(ssl_context=context)


def _visit(
    client: IMAPClient, mailbox: Mailbox, since: Bookmark | None, handled: Sequence[int]
) -> Haul | AccessLost:
    opened = _opened(client, mailbox, readonly=not handled)
    if isinstance(opened, AccessLost):
        return opened
    validity = int(opened[b"UIDVALIDITY"])
    known = since is not None and since.validity == validity
    after = since.uid if known and since is not None else 0
    if known and handled:
        fault = _put_away(client, mailbox, handled)
        if fault is not None:
            return fault
    # `n:*` always names the last mail, whatever its number.
    waiting = sorted(uid for uid in client.search(["UID", f"{after + 1}:*"]) if uid > after)
    chosen = waiting[:AT_ONCE]
    mails = client.fetch(chosen, [_BODY]) if chosen else {}
    return Haul(
        bookmark=Bookmark(validity, chosen[-1] if chosen else after),
        mails={uid: mails[uid][_BODY_ANSWER] or b"" for uid in chosen if uid in mails},
        more=len(waiting) > len(chosen),
    )


def _missing(client: IMAPClient, mailbox: Mailbox) -> AccessLost | None:
    opened = _opened(client, mailbox, readonly=True)
    return opened if isinstance(opened, AccessLost) else None


def _opened(
    client: IMAPClient, mailbox: Mailbox, *, readonly: bool
) -> Mapping[bytes, Any] | AccessLost:
    try:
        opened: Mapping[bytes, Any] = client.select_folder(mailbox.folder, readonly=readonly)
    except IMAPClientError as error:
        detail = f"the folder {mailbox.folder} cannot be opened ({_words(error)})"
        remedy = "correct the name of the folder in the account's settings, under returns"
        return _lost(mailbox, detail=detail, remedy=remedy)
    return opened


def _put_away(client: IMAPClient, mailbox: Mailbox, handled: Sequence[int]) -> AccessLost | None:
    """Mails that are no longer there are left where they went."""
    uids = list(handled)
    client.add_flags(uids, [SEEN], silent=True)
    if not mailbox.move_to:
        return None
    if not client.folder_exists(mailbox.move_to):
        try:
            client.create_folder(mailbox.move_to)
        except IMAPClientError as error:
            detail = f"the folder {mailbox.move_to} cannot be made ({_words(error)})"
            remedy = "make it, or leave move_to empty in the account's settings, under returns"
            return _lost(mailbox, detail=detail, remedy=remedy)
    if client.has_capability("MOVE"):
        client.move(uids, mailbox.move_to)
        return None
    client.copy(uids, mailbox.move_to)
    client.delete_messages(uids, silent=True)
    if client.has_capability("UIDPLUS"):
        client.uid_expunge(uids)
    return None


def _lost(
    mailbox: Mailbox,
    *,
    detail: str,
    remedy: str,
    reason: AccessReason = AccessReason.MISCONFIGURED,
) -> AccessLost:
    return AccessLost(
        reason=reason,
        detail=f"{mailbox.label}: {detail}",
        remedy=remedy,
        evidence=Evidence(request=f"IMAP {mailbox.label}", excerpt=detail),
    )


def _words(error: Exception) -> str:
    """What a server, or the network, said: one short line."""
    text = str(error.args[0] if error.args else error)
    return " ".join(text.split())[:200] or type(error).__name__
