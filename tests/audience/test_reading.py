"""Files as people really have them: no good row is lost, and what is bad is told by its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.audience import exporting
from scheduler.audience.headings import MappingError
from scheduler.audience.lines import Broken, Lines, records
from scheduler.audience.rows import BadRow, Person, read_rows
from scheduler.audience.shape import shape_of

NOW = 1_795_000_000_000_000  # in November 2026


def _read(tmp_path: Path, data: bytes | str, **how: Any) -> list[Person | BadRow]:
    path = tmp_path / "people.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return [row for _, row in read_rows(path, shape_of(path, **how), {}, now=NOW)]


def _people(rows: list[Person | BadRow]) -> list[tuple[int, str, str]]:
    return [(row.line, row.email, row.name) for row in rows if isinstance(row, Person)]


def _bad(rows: list[Person | BadRow]) -> dict[int, str]:
    return {row.line: row.reason for row in rows if isinstance(row, BadRow)}


@pytest.mark.parametrize(
    "data",
    [
        b"sep=;\r\nemail;nom\r\na@x.fr;Ad\xe8le\r\n",
        '\ufeff"sep=,"\r\nemail,nom\r\na@x.fr,Adèle\r\n',
        "sep=\t\r\nemail\tnom\r\na@x.fr\tAdèle\r\n".encode("utf-16"),
        "email;nom\r\n\r\na@x.fr;Adèle\r\n".encode("utf-16-le"),
        "email;nom\r\n\r\na@x.fr;Adèle\r\n".encode("utf-16-be"),
        "\r\n;;\r\nemail;nom\r\na@x.fr;Adèle\r\n",
        "\n\nemail;nom\na@x.fr;Adèle",
        '"Adresse\ne-mail";Nom\n\na@x.fr;Adèle\n',
        "email;nom\r\ra@x.fr;Adèle\r",
        "email;nom;;\n\na@x.fr;Adèle;;;;\n;;\n",
        "email;nom;email\n\na@x.fr;Adèle;other@x.fr\n",
        '"Nom, prénom";E-mail\n\nAdèle;a@x.fr\n',
    ],
)
def test_what_stands_before_the_rows_is_understood(tmp_path: Path, data: bytes | str) -> None:
    ((_, email, name),) = _people(_read(tmp_path, data))
    assert (email, name) == ("a@x.fr", "Adèle")


def test_a_file_without_headings_loses_nobody(tmp_path: Path) -> None:
    alone = _read(tmp_path, "a@x.fr\nb@x.fr\n")
    assert [(line, email) for line, email, _ in _people(alone)] == [(1, "a@x.fr"), (2, "b@x.fr")]
    beside = _read(tmp_path, "Jean;a@x.fr\r\nPaul;b@x.fr\r\n")
    assert [row.attributes for row in beside if isinstance(row, Person)] == [
        {"column_1": "Jean"},
        {"column_1": "Paul"},
    ]


def test_two_columns_of_one_name_are_both_kept(tmp_path: Path) -> None:
    (row,) = _read(tmp_path, "email;Ville;Ville\na@x.fr;Nantes;Paris\n")
    assert isinstance(row, Person)
    assert row.attributes == {"ville": "Nantes", "ville_2": "Paris"}


@pytest.mark.parametrize("delimiter", ["tab", "\\t", "\t"])
def test_a_delimiter_may_be_named(tmp_path: Path, delimiter: str) -> None:
    assert len(_people(_read(tmp_path, "email\tnom\na@x.fr\tA;B\n", delimiter=delimiter))) == 1


@pytest.mark.parametrize(
    ("data", "how", "words"),
    [
        (b"", {}, "it is empty"),
        (b"\n \n", {}, "it is empty"),
        (b"PK\x03\x04 and so on", {}, "save it there as CSV"),
        (b"email;nom\n", {"delimiter": ";;"}, "cannot part fields"),
        (b"email;nom\n", {"delimiter": '"'}, "cannot part fields"),
    ],
)
def test_what_is_no_csv_is_said(
    tmp_path: Path, data: bytes, how: dict[str, str], words: str
) -> None:
    with pytest.raises(MappingError, match=words):
        _read(tmp_path, data, **how)


def test_an_unclosed_quote_costs_its_own_line(tmp_path: Path) -> None:
    many = "".join(f"r{n}@x.org,N\n" for n in range(20_000))
    rows = _read(tmp_path, f'email,name\na@x.org,"oops\n{many}b@x.org,"again\n{many}')
    assert len(_people(rows)) == 40_000
    assert sorted(_bad(rows)) == [2, 20_003]
    assert "does not close" in _bad(rows)[2]


def test_a_quote_closed_by_the_next_rows_quote_swallows_nobody(tmp_path: Path) -> None:
    rows = _read(tmp_path, 'email;nom\na@x.fr;"Jean\nb@x.fr;Paul\nc@x.fr;"Marie"\nd@x.fr;Luc\n')
    assert _people(rows) == [(3, "b@x.fr", "Paul"), (4, "c@x.fr", "Marie"), (5, "d@x.fr", "Luc")]
    assert list(_bad(rows)) == [2]
    rows = _read(tmp_path, 'email;nom\na@x.fr;"Jean\nb@x.fr;Paul"\nc@x.fr;Luc\n')
    assert _people(rows) == [(4, "c@x.fr", "Luc")]
    assert "another row" in _bad(rows)[2]


def test_quotes_within_quotes_and_lines_within_fields_are_taken(tmp_path: Path) -> None:
    rows = _read(
        tmp_path,
        'email;nom;note\na@x.fr;"Jean "le grand" Du";x\nb@x.fr;"Ann ""A"" B";"one\ntwo; three"\n',
    )
    assert [name for _, _, name in _people(rows)] == ['Jean le grand" Du"', 'Ann "A" B']
    assert isinstance(rows[1], Person)
    assert rows[1].attributes == {"note": "one\ntwo; three"}


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_characters="\0@"), max_size=6), min_size=2, max_size=2
        ),
        max_size=8,
    )
)
def test_whatever_is_csv_is_read_as_such(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    text.seek(0)
    assert [fields for _, fields in records(Lines(text), ",", 2)] == [
        row for row in rows if any(row)
    ]


@given(st.text(st.sampled_from('ab,"\n'), max_size=60), st.integers(1, 3))
def test_no_line_is_read_twice_or_never(text: str, width: int) -> None:
    lines = Lines(io.StringIO(text))
    found = list(records(lines, ",", width))
    assert lines.number == len(text.splitlines())
    starts = [line for line, _ in found]
    assert starts == sorted(set(starts))
    told = {line for line, fields in found if isinstance(fields, Broken)}
    whole = {n for n, line in enumerate(text.splitlines(), 1) if set(line) & set("ab")}
    assert whole <= told | _covered(starts, lines.number)


def _covered(starts: list[int], end: int) -> set[int]:
    """Lines of records and those that they go on for."""
    return set(range(starts[0], end + 1)) if starts else set()


def test_a_long_line_is_one_bad_row(tmp_path: Path) -> None:
    rows = _read(tmp_path, "email\n" + "x" * 3_000_000 + "\na@x.org\n")
    assert list(_bad(rows)) == [2]
    assert isinstance(rows[0], BadRow)
    assert rows[0].fields == ["x" * 200]
    assert _people(rows) == [(3, "a@x.org", "")]


def test_no_address_becomes_another_and_no_name_breaks_a_line(tmp_path: Path) -> None:
    rows = _read(
        tmp_path,
        "email;nom\nJean@straße.de;S\nstraße@x.fr;S\njean@Bücher.de;B\n"
        'a@x.fr;"Jean\nBcc: b@y.fr"\n',
    )
    assert [(email, name) for _, email, name in _people(rows)] == [
        ("jean@xn--strae-oqa.de", "S"),
        ("jean@xn--bcher-kva.de", "B"),
        ("a@x.fr", "Jean Bcc: b@y.fr"),
    ]
    assert list(_bad(rows)) == [3]


def test_who_left_by_the_word_of_the_file_itself_is_not_taken(tmp_path: Path) -> None:
    rows = _read(
        tmp_path,
        "email,status,ville\na@x.fr,Subscribed,N\nb@x.fr,Unsubscribed,N\nc@x.fr,cleaned,N\n"
        "d@x.fr,Désinscrit,N\ne@x.fr,,N\n",
    )
    assert [email for _, email, _ in _people(rows)] == ["a@x.fr", "e@x.fr"]
    assert "they left" in _bad(rows)[3]


def test_our_own_export_comes_back_without_whoever_had_left(tmp_path: Path) -> None:
    def line(email: str, subscribed: str, left: str) -> str:
        values = dict.fromkeys(exporting.HEADINGS, "") | {
            "email": email, "name": "=A", "tags": "vip, presse", "attributes": '{"ville": "Nîmes"}',
            "subscribed": subscribed, "unsubscribed": left, "consent_at": "2024-03-12T10:00:00Z",
            "created_at": "2024-03-12T10:00:00Z", "consent_source": "fair",
        }  # fmt: skip
        return exporting.csv_line(tuple(values.values()))

    written = exporting.csv_line(exporting.HEADINGS)
    written += line("+a@x.fr", "list", "") + line("b@x.fr", "", "list") + line("c@x.fr", "", "")
    rows = _read(tmp_path, written)
    assert [email for _, email, _ in _people(rows)] == ["+a@x.fr"]
    assert sorted(_bad(rows)) == [3, 4]
    assert isinstance(rows[0], Person)
    assert rows[0].attributes == {"ville": "Nîmes"}
    assert rows[0].tags == ["vip", "presse"]
    assert (rows[0].consent_at, rows[0].consent_source) == (1_710_237_600_000_000, "fair")
