"""Which columns of a CSV trace hold what: found by name, said by the user, or asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from scenarios.traces import TraceFile
from scenarios.traces.columns import Columns, split_head
from scenarios.traces.csv_rows import CsvRows

Rows = list[tuple[float, int, int]]
Write = Callable[[str], Path]
EXPECTED = [(0.0, 0, 10), (1.0, 1, 10), (2.0, 0, 10)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str) -> Path:
        (tmp_path / "t.csv").write_text(content, encoding="latin-1")
        return tmp_path / "t.csv"

    return to_file


def rows_of(file: TraceFile) -> Rows:
    return [
        row
        for part in file.blocks()
        for row in zip(part.times.tolist(), part.keys.tolist(), part.sizes.tolist(), strict=True)
    ]


def table(separator: str, head: str = "time_s,object,size_bytes") -> str:
    return "\n".join([head, "0,a,10", "1,b,10", "2,a,10", ""]).replace(",", separator)


@pytest.mark.parametrize(
    "content",
    [
        table(","),
        table("\t"),
        table(";"),
        table("|"),
        table(" "),
        table("   "),
        table(" \t "),
        table(", "),
        table(" , "),
        table(" ;  "),
        table(",", "Time_s,Object,Size_Bytes"),
        table(",", "TIME_S,OBJECT,SIZE_BYTES"),
        table(",", '"time_s","object","size_bytes"'),
        table(",", "time_s, object, size_bytes"),
        table(",", "# time_s,object,size_bytes"),
        table(",", "#time_s,object,size_bytes"),
        table(",", "timestamp,obj_id,obj_size"),
        table(",", "Timestamp,Object ID,Size (bytes)").replace("Size (bytes)", "Size-Bytes"),
        table(",", "ts,key,size"),
        table(",", "time,url,bytes"),
        table(",", "time,lbn,length"),
        "size_bytes,object,time_s\n10,a,0\n10,b,1\n10,a,2\n",
        'time_s;object;size_bytes\n0,0;a;10\n1,0;b;10\n"2,0";a;10\n',
        "time_s,object,size_bytes\n1970-01-01T00:00:00Z,a,10\n1970-01-01 "
        "00:00:01,b,10\n1970-01-01T01:00:02+01:00,a,1e1\n",
        "time_s,object,size_bytes\r\n0,a,10.0\r\n1,b,1e1\r\n2,a,+10\r\n",
    ],
)
@pytest.mark.parametrize("slow", [False, True])
def test_a_head_is_understood_as_people_write_it(
    write: Write, content: str, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if slow:
        monkeypatch.setattr(CsvRows, "_fast", lambda *_: None)
    assert rows_of(TraceFile(write(content))) == EXPECTED


@pytest.mark.parametrize(
    ("content", "columns", "expected"),
    [
        ("v,t,n,s\n1,0,a,10\n1,1,b,10\n1,2,a,10\n", "object=n,size=s,time=t", EXPECTED),
        ("v,t,n,s\n1,0,a,10\n1,1,b,10\n1,2,a,10\n", "time = T, object = N, size = S", EXPECTED),
        ("v,t,n,s\n1,0,a,10\n1,1,b,10\n1,2,a,10\n", "object=3,size=4,time=2", EXPECTED),
        ("1,0,a,10\n1,1,b,10\n1,2,a,10\n", "object=3,size=4,time=2", EXPECTED),
        ("0 a 10\n1 b 10\n2 a 10\n", "object=2,size=3,time=1", EXPECTED),
        ("0;a;10\n1000;b;10\n2000;a;10\n", "object=2,size=3,time=1:ms", EXPECTED),
        (
            "host,path,t\nx,/,0\ny,/,1\nx,/,2\n",
            "object=host+path,time=t",
            [(0.0, 0, 1), (1.0, 1, 1), (2.0, 0, 1)],
        ),
        ("host,path\nx,/y\nx/,y\n", "object=host+path", [(0.0, 0, 1), (1.0, 1, 1)]),
        ("n,k,v\na,3,7\nb,3,7\na,3,7\n", "object=n,size=k+v", EXPECTED),
        (
            "n,op,s\na,GET,10\nb,set,10\nb,Read,10\na,r,10\n",
            "object=n,op=op,size=s",
            [(0.0, 0, 10), (2.0, 1, 10), (3.0, 0, 10)],
        ),
        (
            "n,times,s\na,2,10\nb,1,10\n",
            "object=n,count=times,size=s",
            [(0.0, 0, 10), (0.0, 0, 10), (1.0, 1, 10)],
        ),
        ("a,a\n5,6\n", "object=2", [(0.0, 0, 1)]),
    ],
)
def test_columns_are_what_the_user_says(write: Write, content: str, columns: str, expected: Rows) -> None:
    assert rows_of(TraceFile(write(content), columns=columns)) == expected


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("object", "expected role=column,… such as object=lbn,size=3,time=ts, not 'object'"),
        ("object=", "expected role=column,… such as object=lbn,size=3,time=ts, not 'object='"),
        (
            "objct=n",
            "unknown role 'objct' (did you mean 'object'?); expected one of time, object, size, "
            "service, op, count",
        ),
        ("object=n,object=m", "'object' is given twice"),
        ("size=n", "expected an 'object', such as object=lbn"),
        ("object=n,time=t:h", "unknown unit of time 'h'; expected one of s, ms, us, ns"),
        ("object=n+", "object: expected a column on both sides of '+'"),
        ("object=n,time=a+b", "time: expected one column"),
    ],
)
def test_columns_that_say_nothing_are_refused(write: Write, columns: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        TraceFile(write("n\n"), columns=columns)
    assert str(caught.value) == f"columns: {columns}: {said}"


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        ("n,t\n1,2\n", "object=m", "line 1: there is no column 'm'; known: n, t"),
        ("name,t\n1,2\n", "object=nmae", "line 1: there is no column 'nmae' (did you mean 'name'?)"),
        ("n,t\n1,2\n", "object=3", "line 1: there is no column 3; the line has 2"),
        ("n,n\n1,2\n", "object=n", "line 1: the column 'n' appears twice; say its number, such as 1"),
        ("n,t\na,x\n", "object=n,time=t", "line 2: expected numbers for t"),
        (
            "time_s,host,object,size_bytes\n0,x,/,1\n",
            None,
            "line 1: the column 'host' may tell objects apart, or reads from writes; say which columns "
            "count, such as "
            "--columns object=host+path,size=size,time=time",
        ),
        (
            "timestamp,key,zone,size,method\n0,x,1,1,GET\n",
            None,
            "line 1: the column 'zone' may tell objects apart",
        ),
        (
            "time,op,url,size\n0,PUT,x,1\n",
            None,
            "line 1: the column 'op' may tell objects apart, or reads from writes",
        ),
        (
            "time,id,url,size\n0,1,x,1\n",
            None,
            "line 1: 'id' and 'url' could both be the object; name them with --columns",
        ),
        (
            "time,url,size,bytes\n0,x,1,1\n",
            None,
            "line 1: 'size' and 'bytes' could both be the size; name them",
        ),
        (
            "0,a,10\n",
            None,
            "line 1: expected a head line that names the columns, such as time_s,object,size_bytes; or say "
            "--format, or --columns object=2,size=3,time=1",
        ),
        (
            "when,what,much\n0,a,10\n",
            None,
            "line 1: the column 'object' is missing; the line has when, what, much; name "
            "them with --columns object=NAME,size=NAME,time=NAME",
        ),
        ("time_s,object,size_bytes\n0,a\n", None, "line 2: expected numbers for time_s and size_bytes"),
        (
            "# a remark\n\ntime_s,object,size_bytes\n0,a,x\n",
            None,
            "line 4: expected numbers for time_s and size_bytes",
        ),
        ("time_s object size_bytes\n0 a b 10\n", None, "line 2: expected 3 fields, not 4"),
    ],
)
def test_what_is_not_clear_is_asked_for(write: Write, content: str, columns: str | None, said: str) -> None:
    path = write(content)
    with pytest.raises(BadInput) as caught:
        rows_of(TraceFile(path, columns=columns))
    assert str(caught.value).startswith(f"{path}: {said}")


def test_only_tables_have_columns_to_name(write: Write) -> None:
    with pytest.raises(BadInput, match="only a CSV file has columns to name, not json"):
        TraceFile(write("{}"), kind="json", columns="object=a")


NAME = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=5)


@given(
    names=st.lists(NAME, min_size=2, max_size=6, unique=True),
    separator=st.sampled_from([",", "\t", ";", "|", " "]),
)
def test_a_head_is_split_at_its_separator(names: list[str], separator: str) -> None:
    assert split_head(separator.join(names)) == (separator, names)
    assert split_head(separator.join(f'"{name}"' for name in names)) == (separator, names)


@given(names=st.lists(NAME, min_size=3, max_size=6, unique=True), data=st.data())
def test_a_column_is_the_same_by_name_and_by_number(names: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.permutations(range(len(names))))[:3]
    roles = ("object", "size", "time")
    by_name = ",".join(f"{role}={names[place]}" for role, place in zip(roles, chosen, strict=True))
    by_number = ",".join(f"{role}={place + 1}" for role, place in zip(roles, chosen, strict=True))
    assert Columns(by_name).layout(names) == Columns(by_number).layout(names)
