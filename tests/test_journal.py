import fcntl
from pathlib import Path
from typing import Any

import pytest

from scheduler.journal import Answered, Journal, boot_id, left_behind
from tests.support.room import room_for


def test_a_living_workers_journal_is_nobody_elses(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "alive")
    assert list(left_behind(tmp_path)) == []
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_living_workers_journal_is_its_own_while_it_begins_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "alive")
    journal.sending("before", 1)
    lock = fcntl.flock
    begun: list[Any] = []

    def just_then(file: Any, how: int) -> None:
        if not begun:  # it was opened, and is not locked yet
            begun.append(file)
            journal._compact()
            journal.sending("after", 1)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", just_then)
    assert list(left_behind(tmp_path)) == []
    assert begun
    journal.close()


def test_two_that_start_at_once_do_not_trip_over_each_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Journal(tmp_path, name).abandon()
    left = left_behind(tmp_path)
    assert next(left).worker == "one"
    (tmp_path / "two.sent").unlink()  # by the other
    assert list(left) == []


def test_names_what_left_and_only_that(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "killed")
    journal.sending("one", 1)
    journal.sending("two", 3)
    journal.settled("one", 1)
    journal.abandon()
    (left,) = left_behind(tmp_path)
    assert left.worker == "killed"
    assert left.proves is bool(boot_id())
    assert left.sent == {("one", 1), ("two", 3)}


def test_compacting_keeps_what_is_under_way(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "busy")
    journal.sending("under-way", 1)
    for number in range(60_000):
        journal.sending(f"delivery-{number}", 1)
        journal.settled(f"delivery-{number}", 1)
    assert (tmp_path / "busy.sent").stat().st_size < 2 * 1024 * 1024
    journal.abandon()
    (left,) = left_behind(tmp_path)
    assert ("under-way", 1) in left.sent


def test_after_another_boot_a_journal_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.sent").write_text("another-boot\none 1\n")
    (left,) = left_behind(tmp_path)
    assert not left.proves


def test_a_line_cut_by_the_kill_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "cut.sent").write_text(f"{boot_id()}\none 1\ntwo")
    (left,) = left_behind(tmp_path)
    assert left.sent == {("one", 1)}


def test_a_mark_that_finds_no_room_is_refused_and_spoils_no_other(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "full")
    journal.sending("one", 1)
    size = (tmp_path / "full.sent").stat().st_size
    with room_for(size + 5), pytest.raises(OSError, match="space"):
        journal.sending("two", 12)
    journal.sending("three", 1)
    journal.abandon()
    (left,) = left_behind(tmp_path)
    assert left.sent == {("one", 1), ("three", 1)}


def test_goes_on_in_its_old_file_where_there_is_no_room_for_a_new_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "full")
    for number in range(60_000):
        journal.sending(f"delivery-{number}", 1)
    with room_for(10):
        journal.settled("delivery-0", 1)
    journal.sending("one", 1)
    journal.settled("delivery-1", 1)
    journal.abandon()
    (left,) = left_behind(tmp_path)
    assert {("one", 1), ("delivery-2", 1)} <= left.sent


SAID = Answered("123_456", "https://page.example/été", "", 1_000, 2_000)


def test_what_was_delivered_is_known_until_it_is_committed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "killed")
    for delivery in ("answered", "asked", "committed"):
        journal.sending(delivery, 1)
    journal.delivered("answered", 1, SAID)
    for number in range(60_000):  # compacted on the way
        journal.sending(f"delivery-{number}", 1)
        journal.settled(f"delivery-{number}", 1)
    journal.abandon()
    (left,) = left_behind(tmp_path)
    assert left.delivered == {("answered", 1): SAID}
    assert {("answered", 1), ("asked", 1)} <= left.sent


def test_an_answer_cut_by_the_kill_leaves_the_doubt(tmp_path: Path) -> None:
    (tmp_path / "cut.sent").write_text(f'{boot_id()}\none 1\none 1 ["123", "https')
    (left,) = left_behind(tmp_path)
    assert left.sent == {("one", 1)}
    assert left.delivered == {}
