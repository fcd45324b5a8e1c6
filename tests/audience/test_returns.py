"""Bounces and complaints: read as servers write them, believed only with our own tag."""

from __future__ import annotations

import pytest

from scheduler.audience.returns import Kind, contact_of, read, slot_of, tag_of

KEY = b"a key"
READER = "0190f3c2-7b1a-7c3d-8e4f-0123456789ab"
TAG = tag_of(KEY, READER)


def _bounce(status: str, *, action: str = "failed", tag: str = TAG, words: str = "") -> bytes:
    return (
        "From: MAILER-DAEMON@mx.example.net\r\n"
        f"To: bounces+{tag}@shop.example.org\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry. 5.1.1 is not what counts here.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example.net\r\n\r\n"
        "Final-Recipient: rfc822; ann@example.net\r\n"
        f"Action: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {words}\r\n\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: Our letter\r\n\r\n--b--\r\n"
    ).encode()


def _leaving(subject: str = f"unsubscribe {'ab' * 16}", *, more: str = "", tag: str = TAG) -> bytes:
    return (
        f"From: ann@example.net\r\nTo: bounces+{tag}@x.org\r\nSubject: {subject}\r\n{more}\r\n"
    ).encode()


def _complaint(kind: str = "abuse", tag: str = TAG) -> bytes:
    return (
        "From: fbl@provider.example\r\nTo: abuse@shop.example.org\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n"
        "--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        f"Feedback-Type: {kind}\r\nUser-Agent: X/1\r\nVersion: 1\r\n"
        f"Original-Mail-From: <bounces+{tag}@shop.example.org>\r\n\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\n"
        "From: letter@shop.example.org\r\nSubject: Our letter\r\n\r\nHello\r\n--b--\r\n"
    ).encode()


def test_a_tag_names_its_reader_whatever_case_it_comes_back_in() -> None:
    assert contact_of(KEY, TAG) == contact_of(KEY, TAG.upper()) == READER
    assert len(f"bounces+{TAG}") <= 64
    for wrong in ("", "x", "1" * 39, TAG[:-2], ("b" if TAG[0] == "a" else "a") + TAG[1:]):
        assert contact_of(KEY, wrong) is None
    assert contact_of(b"another", TAG) is None
    assert tag_of(KEY, "no uuid") == ""


@pytest.mark.parametrize(
    ("mail", "kind"),
    [
        (_bounce("5.1.1"), Kind.GONE),
        (_bounce("5.0.0", words="550 5.1.1 no such user"), Kind.GONE),
        (_bounce("5.0.0", words="550 go away"), Kind.REFUSED),
        (_bounce("5.2.2"), Kind.REFUSED),
        (_bounce("5.7.1", words="550 5.1.1 in a trace"), Kind.BLOCKED),
        (_bounce("5.3.4"), Kind.BLOCKED),
        (_bounce("5.0.0", words="554 5.7.26 unauthenticated"), Kind.BLOCKED),
        (b"Return-Path: <>\r\n" + _bounce("5.1.1"), Kind.GONE),
        (b"Return-Path: <fbl@provider.example>\r\n" + _complaint(), Kind.COMPLAINT),
        (_bounce("4.4.1", action="delayed"), Kind.DELAYED),
        (_bounce("5.1.1", tag=TAG.upper()), Kind.GONE),
        (_complaint(), Kind.COMPLAINT),
        (_leaving(), Kind.LEFT),
        (_leaving(f" Unsubscribe  {'AB' * 16}", more="Auto-Submitted: no\r\n"), Kind.LEFT),
    ],
)
def test_a_report_says_what_became_of_its_reader(mail: bytes, kind: Kind) -> None:
    found = read(KEY, mail)
    assert found is not None
    assert (found.kind, found.contact_id) == (kind, READER)


@pytest.mark.parametrize(
    "mail",
    [
        b"",
        b"\xff\xfe not a mail",
        _bounce("2.0.0", action="delivered"),
        _bounce("5.1.1", tag=tag_of(b"another", READER)),
        _complaint(tag=tag_of(b"another", READER)),
        _complaint("not-spam"),
        b"Return-Path: <mallory@example.net>\r\n" + _bounce("5.1.1"),
        f"To: bounces+{TAG}@x.org\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.".encode(),
        _leaving("Re: how to unsubscribe"),
        _leaving("unsubscribe"),
        _leaving(f"Away: unsubscribe {'ab' * 16}"),
        _leaving(more="Auto-Submitted: auto-replied\r\n"),
        _leaving(tag=tag_of(b"another", READER)),
    ],
)
def test_what_is_forged_or_no_report_is_ignored(mail: bytes) -> None:
    assert read(KEY, mail) is None


def test_a_report_is_remembered_by_its_name_whichever_way_it_comes() -> None:
    mail = b"Message-ID: <1@mx>\r\n" + _bounce("5.1.1")
    found = read(KEY, mail)
    assert found is not None
    again = b"Received: from elsewhere\r\n" + mail
    assert slot_of(again, found) == slot_of(mail, found)
    assert slot_of(mail.replace(b"<1@", b"<2@"), found) != slot_of(mail, found)
    other = read(KEY, _bounce("5.2.2"))
    assert other is not None
    assert slot_of(mail, other) != slot_of(mail, found), "one name hides no other report"
    assert slot_of(_bounce("5.1.1"), found) != slot_of(_bounce("5.1.2"), found)
