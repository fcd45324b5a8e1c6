from pathlib import Path

from scheduler.journal import Journal, boot_id, left_behind


def test_a_living_workers_journal_is_nobody_elses(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "alive")
    assert list(left_behind(tmp_path)) == []
    journal.close()
    assert list(tmp_path.iterdir()) == []


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
