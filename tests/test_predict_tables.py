"""Tables that people bring to ``pynn predict``: each is read as its writer meant it, or refused with its place."""

import csv
import io
import itertools

import numpy as np
import pytest

from pynn import cli, nn

ROWS = [[1.5, -2.0, 3.25, 4.0], [5.0, 6.5, -7.0, 0.5], [0.0, 1000.0, 0.001, 2.0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model that gives back the four numbers it is given, and one for a single number."""
    path = tmp_path_factory.mktemp("tables")
    for count in (1, 2, 4):
        model = nn.Sequential([nn.Input((count,)), nn.Dense(count)])
        model.set_weights([np.eye(count, dtype="float32"), np.zeros(count, "float32")])
        model.save(path / f"{count}.pynn")
    model.save(path / "named.pynn", metadata={"columns": ["a", "b", "c", "d"]})
    return path


@pytest.fixture
def ask(folder, capsys):
    """Return what the model is given of a table: (rows or None, standard error)."""

    def ask(content, *flags, model="4", name="x.csv"):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        arguments = ["predict", str(folder / f"{model}.pynn"), "--input", str(path), *flags]
        try:
            status = cli.main(arguments)
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        if status:
            assert (status, out) == (2, "")
            return None, err
        return [[float(cell) for cell in row] for row in list(csv.reader(io.StringIO(out)))[1:]], err

    return ask


def text(separator=",", decimal=".", header=None, index=False, quote=False, end="\n", last=True):
    """Return ROWS as a table."""
    lines = [] if header is None else [header]
    for i, row in enumerate(ROWS):
        cells = ([str(i)] if index else []) + [f"{value:g}".replace(".", decimal) for value in row]
        lines.append(separator.join(f'"{cell}"' for cell in cells) if quote else separator.join(cells))
    return end.join(lines) + (end if last else "")


GOOD = {
    **{
        f"{name} {mark}": text(separator, mark)
        for (name, separator), mark in itertools.product(
            {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "blank": " "}.items(), ".,"
        )
        if separator != mark
    },
    "blanks": text("   "),
    "blanks round commas": text(" , "),
    "blanks before and after": "\n".join(f"  {line}  " for line in text(" ").splitlines()),
    "quoted": text(quote=True),
    "quoted decimal commas": text(decimal=",", quote=True),
    "quoted semicolons": text(";", ",", quote=True),
    "names": text(header="a,b,c,d"),
    "names with semicolons": text(";", ",", header="a;b;c;d"),
    "names with tabs": text("\t", header="a\tb\tc\td"),
    "quoted names with separators": text(header='"a,1","b,2","c ""x""","d\ne"'),
    "names with umlauts": text(header="größe,b,c,d"),
    "names that look like gaps in part": text(header="RI,Na,Mg,Al"),
    "pandas with its index": text(header=",a,b,c,d", index=True),
    "pandas, read and written": text(header="Unnamed: 0,a,b,c,d", index=True),
    "numpy.savetxt with names": text(header="# a,b,c,d"),
    "comments": text(header="# made by hand\n# 2026\n# a,b,c,d"),
    "Windows": text(end="\r\n"),
    "old Macintosh": text(end="\r", header="a,b,c,d"),
    "no end of the last line": text(last=False),
    "empty lines at the end": text() + "\n\n\r\n",
    "empty lines between": text(end="\n\n"),
    "Windows, ends written twice": text(end="\r\r\n"),
    "a separator at the end of lines": text(header="a,b,c,d", end=",\n"),
    "UTF-8 with a mark": "\ufeff" + text(header="a,b,c,d"),
    "UTF-8 with a mark, no names": "\ufeff" + text(),
    "UTF-8 with a mark and quotes": "\ufeff" + text(quote=True),
    "UTF-16": text(header="a,b,c,d").encode("utf-16"),
    "UTF-16, Excel's text": text("\t", ",", header="a\tb\tc\td", end="\r\n").encode("utf-16"),
    "UTF-16, big end first": ("\ufeff" + text(";", ",")).encode("utf-16-be"),
    "UTF-32": text(header="a,b,c,d").encode("utf-32"),
    "Latin-1": text(";", ",", header="größe;b;c;d").encode("latin-1"),
    "Windows-1252": text(header="€,b,c,d").encode("cp1252"),
    "Excel's sep": "sep=;\r\n" + text(";", ",", header="a;b;c;d", end="\r\n"),
    "exponents and signs": "+15e-1,-2E0,3.25,.4e1\n5,6.5,-7.,.5\n0,1e+3,1e-3,2\n",
    "truth values": "1.5,-2,3.25,4\n5,6.5,-7,0.5\nFalse,1000,0.001,2\n",
    "names in quotes, numbers bare": text(header='"a","b","c","d"'),
}


@pytest.mark.parametrize("kind", GOOD)
def test_tables_are_read_as_their_writers_meant_them(ask, kind):
    found, err = ask(GOOD[kind])
    assert found is not None, err
    np.testing.assert_array_equal(np.array(found, "float32"), np.array(ROWS, "float32"))


WITH_FLAGS = {
    "names that are numbers": (text(header="0,1,2,3"), ["--header"]),
    "columns by name": (text(header="z,a,b,c,d", index=True), ["--columns", "a,b,c,d"]),
    "columns by number": (text(header="z,a,b,c,d", index=True), ["--columns", "2-5"]),
    "columns of other kinds": ("1.5,-2,3.25,4,x\n5,6.5,-7,0.5,y\n0,1000,.001,2,z\n", ["--columns", "1-4"]),
    "names with commas": (text(header='"x,y",b,c,d'), ["--columns", '"x,y",b,c,d']),
    "an index without a name": (text(index=True), ["--index"]),
    "R's names of rows": (text(" ", header="a b c d", index=True), ["--index"]),
    "letters between": (text("x"), ["--separator", "x"]),
    "UTF-16 without a mark": (text().encode("utf-16-le"), ["--encoding", "utf-16-le"]),
    "tab by name": (text("\t"), ["--separator", "tab"]),
    "a gap and its mean": ("1.5,-2,3.25,4\n5,6.5,-7,\n0,1000,.001,NA\n1,1,1,-1", ["--missing", "mean"]),
}


@pytest.mark.parametrize("kind", WITH_FLAGS)
def test_what_the_caller_says_decides(ask, kind):
    content, flags = WITH_FLAGS[kind]
    found, err = ask(content, *flags)
    assert found is not None, err
    expected = np.array(ROWS)
    if "--missing" in flags:
        expected = np.vstack([expected, [1, 1, 1, -1]])
        expected[1:3, 3] = 1.5
    np.testing.assert_array_equal(np.array(found, "float32"), expected.astype("float32"))


REFUSED = {
    "underscores": ("1_0,2,3,4\n", "line 1, column 1: expected a number. Received: '1_0'"),
    "other digits": ("\uff11,2,3,4\n", "column 1: expected a number"),
    "a row of gaps": ("NA,?,-,null\n1,2,3,4\n", "line 1, column 1: expected a number. Received: 'NA'"),
    "a row of text over numbers and gaps": ("a,?,NA,x\n1,2,3,4\n", "names, or values. Received: '?' among them"),
    "all text": ("red,blue,x,y\ngreen,red,x,y\n", "both are text here"),
    "a name is lacking": ("a,b,c\n1,2,3,4\n", "line 2: expected 3 values. Received: 4. help: --index"),
    "one cell too many": (text() + "1,2,3,4,5\n", "line 4: expected 4 values. Received: 5"),
    "one too few": (text(header="a,b,c,d") + "1,2,3\n", "line 5: expected 4 values. Received: 3"),
    "a decimal comma between commas": ("1,5,2,3,4\n1,2,3,4\n", "line 2: expected 5 values. Received: 4"),
    "thousands": ('1,"2,000",3,4\n5,6,7,8\n', "'2,000', which may be 2.000 or 2000. help: --decimal ,"),
    "thousands between semicolons": ("1,000;2,000;3;4\n", "which may be 1.000 or 1000"),
    "a gap with its name": ("a,b,c,d\n1,2,3,4\n5,,7,8\n", "line 3, column 2 ('b'): expected a number. Received: ''"),
    "a gap of a file that is skipped in spreadsheets": (text() + ",,,\n", "line 4, column 1: expected a number"),
    "infinity": ("1,2,3,inf\n", "line 1, column 4: expected a finite number"),
    "1e999": ("1,2,3,1e999\n", "line 1, column 4: expected a finite number"),
    "a date": ("2026-01-02,2,3,4\n", "column 1: expected a number. Received: '2026-01-02'"),
    "money": ("$1,2,3,4\n", "column 1: expected a number"),
    "labels": ("1,2,3,4,setosa\n", "column 5: expected a number. Received: 'setosa'"),
    "targets": ("1,2,3,4,5\n", "help: --columns, to take out the column of targets"),
    "an open quote": ('1,2,3,4\n"5,6,7,8\n', "expected a table with ',' between cells. Received: unexpected end"),
    "text after a quote": ('"1"2,2,3,4\n', "expected a table"),
    "one name twice": ("a,a,c,d\n1,2,3,4\n", "expected each name of a column once. Received: 'a' twice"),
    "zeros of UTF-16": (text().encode("utf-16-le"), "help: --encoding utf-16-le"),
    "no text": (b"\x89PNG\r\n\x1a\n" + bytes(20), "expected a table of text"),
    "half of UTF-16": (b"\xff\xfe1\x00,", "expected text in utf-16"),
    "two numbers in a cell": ("1 2,3,4,5\n1 2,3,4,5\n", "column 1: expected a number. Received: '1 2'"),
    "all gone": ("\n\n", "at least one row"),
    "a line of multiline text": ('a,b,c,d\n1,2,3,4\n"5\n",6,7,x\n', "line 3, column 4 ('d')"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_clear_is_refused_with_its_place(ask, kind):
    content, message = REFUSED[kind]
    found, err = ask(content)
    assert found is None
    assert message in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--columns", "1-3,e"], "--columns: expected names (a, b, c, d) or numbers from 1 to 4. Received: 'e'"),
        (["--columns", "0"], "Received: '0'"),
        (["--columns", "3-2"], "Received: '3-2'"),
        (["--columns", "a"], "Received: 1 columns in 3 rows"),
        (["--separator", "ab"], "expected one letter, tab, blank or none"),
        (["--encoding", "klingon"], "expected text in klingon"),
        (["--no-header"], "line 1, column 1: expected a number. Received: 'a'"),
    ],
)
def test_what_the_caller_says_is_checked(ask, flags, message):
    found, err = ask(text(header="a,b,c,d"), *flags)
    assert found is None
    assert message in err


def test_a_column_without_numbers_has_no_mean(ask):
    assert "line 2, column 4 ('d'): expected numbers to take the mean of" in ask(
        "a,b,c,d\n1,2,3,\n4,5,6,NA\n", "--missing", "mean"
    )[1]  # fmt: skip


def test_columns_go_by_their_names_where_the_model_file_has_them(ask):
    found, _ = ask("d,extra,b,a,c\n4,x,2,1,3\n", model="named")
    assert found == [[1, 2, 3, 4]]
    found, err = ask("d,extra,b,a\n4,x,2,1\n", model="named")
    assert found is None
    assert "expected a column 'c', which the model was trained on. Received: d, extra, b, a" in err
    assert ask("1,2,3,4\n", model="named")[0] == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("0.5\n1\n", [[0.5], [1]]),
        ("x\n0.5\n1\n", [[0.5], [1]]),
        ("x\n0,5\n1,0\n", [[0.5], [1]]),
        ('x\n"0,5"\n"1"\n', [[0.5], [1]]),
        ("0.5\n1\n\n\n", [[0.5], [1]]),
        ("0.5\n\n1\n", None),  # a gap
        ("0,5\n1,0\n", None),  # two columns
        ("0,5\n1\n", None),  # or one, or a lost cell
        ("0,5,1\n1,5\n", None),
        ("a;b\n1\n", None),
    ],
)
def test_tables_of_one_column(ask, content, expected):
    assert ask(content, model="1")[0] == expected


def test_a_decimal_comma_that_is_said_separates_nothing(ask):
    for content in ("0,5\n1\n", "0,5\n1,0\n", 'x\n"0,5"\n1\n'):
        assert ask(content, "--decimal", ",", model="1")[0] == [[0.5], [1]]
    assert ask("0,5 1\n", "--decimal", ",", model="2")[0] == [[0.5, 1]]
    assert ask('"0,5","1,0"\n', "--decimal", ",", model="2")[0] == [[0.5, 1]]


def test_many_empty_lines_take_no_time_and_keep_their_numbers(ask):
    assert ask("1,2" + "\n" * 50_000 + "3,x\n", model="2")[1].startswith("pynn: error")
    assert "line 50001, column 2" in ask("1,2" + "\n" * 50_000 + "3,x\n", model="2")[1]


def test_what_was_guessed_or_left_out_is_said(ask):
    assert "no UTF-8 at byte 3; read as Windows-1252" in ask(GOOD["Latin-1"])[1]
    assert "the first column, which has no name, counts rows and is left out" in ask(GOOD["pandas with its index"])[1]
    assert ask(GOOD["names"])[1] == ""
