"""Replay of a CSV file: what it may hold, and one clear line with the number of the line that is wrong."""

from itertools import islice
from pathlib import Path

import pytest

from policies.bad_input import BadInput
from scenarios import Request, Workload
from scenarios.traces import read_trace

GOOD = "time_s,object,size_bytes\n0.5,/a,100\n0.5,/b,2000\n2,/a,100\n"


@pytest.fixture
def trace(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        file = tmp_path / "requests.csv"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return write


@pytest.fixture
def replay(trace, scenario):
    def workload(text: str, changes: dict[str, object] | None = None) -> Workload:
        given = {"workload.users": None, "workload.trace": str(trace(text)), **(changes or {})}
        return Workload(scenario(given))

    return workload


def test_a_good_trace_is_read_as_it_stands(trace) -> None:
    read = read_trace(trace(GOOD))
    assert (read.times.tolist(), read.objects.tolist()) == ([0.5, 0.5, 2.0], [0, 1, 0])
    assert read.sizes.tolist() == [100, 2000] and read.service is None


def test_columns_may_stand_in_any_order_beside_others(trace) -> None:
    read = read_trace(trace("status,size_bytes,service_s,object,time_s\n200,10,0.25,x,1\n404,20,0,y,3.5\n"))
    assert (read.times.tolist(), read.objects.tolist()) == ([1.0, 3.5], [0, 1])
    assert read.sizes.tolist() == [10, 20] and read.service.tolist() == [0.25, 0.0]


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD + "\n\n",
        GOOD.replace("/a", '"/a"'),
        GOOD.rstrip("\n"),
    ],
    ids=["Windows line ends", "byte order mark", "empty lines", "quotes", "no last line end"],
)
def test_what_spreadsheets_make_of_it_is_read_too(trace, text: str) -> None:
    assert read_trace(trace(text)).objects.tolist() == [0, 1, 0]


def test_an_object_keeps_the_size_it_had_first(trace) -> None:
    assert read_trace(trace(GOOD + "3,/a,999\n")).sizes.tolist() == [100, 2000]


def test_a_replay_begins_with_its_first_request_and_ends(replay) -> None:
    workload = replay(GOOD + "2.25,/c,7\n")
    assert (workload.closed, workload.streams, workload.sizes.tolist()) == (False, 1, [100, 2000, 7])
    requests = list(workload.stream(0))
    assert [request[:3] for request in requests] == [
        (0.0, 0, 100),
        (0.0, 1, 2000),
        (1.5, 0, 100),
        (0.25, 2, 7),
    ]
    assert all(type(request.object) is int and type(request.size) is int for request in requests)


def test_recorded_service_times_are_the_demand_of_every_backend(replay) -> None:
    text = "time_s,object,size_bytes,service_s\n0,/a,1,0.5\n1,/b,1,0.25\n"
    requests = list(replay(text, {"backend.api": {}}).stream(0))
    assert [request.demand for request in requests] == [(0.5, 0.5), (0.25, 0.25)]


def test_without_recorded_service_times_demands_are_drawn_as_for_other_loads(replay, scenario) -> None:
    lines = "".join(f"{number},/{number % 7},10\n" for number in range(300))
    requests = list(replay(f"time_s,object,size_bytes\n{lines}").stream(0))
    drawn: list[Request] = list(islice(Workload(scenario()).stream(0), 300))
    assert [request.demand for request in requests] == [request.demand for request in drawn]


HEAD = "time_s,object,size_bytes\n"
TIMED = "time_s,object,size_bytes,service_s\n"
NAMED = "; name them with --columns object=NAME,size=NAME,time=NAME"
HEADLESS = (
    "expected a head line that names the columns, such as time_s,object,size_bytes; "
    "or say --format, or --columns object=2,size=3,time=1"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f"line 1: the column 'object' is missing; the line has nothing{NAMED}"),
        (
            "time_s,object\n1,/a\n",
            f"line 1: the column 'size_bytes' is missing; the line has time_s, object{NAMED}",
        ),
        ("1,/a,100\n", f"line 1: {HEADLESS}"),
        (HEAD, "the trace holds no requests"),
        (HEAD + "\n\n", "the trace holds no requests"),
        (HEAD + "0,/a,1\nx,/b,1\n", "line 3: expected numbers for time_s and size_bytes"),
        (HEAD + "0,/a,1\n\n1,/b,1.5\n", "line 4: expected numbers for time_s and size_bytes"),
        (HEAD + "0,/a,1\n1,/b,\n", "line 3: expected numbers for time_s and size_bytes"),
        (HEAD + "0,/a\n", "line 2: expected numbers for time_s and size_bytes"),
        (HEAD + "0\n", "line 2: expected numbers for time_s and size_bytes"),
        (TIMED + "0,/a,1,fast\n", "line 2: expected numbers for time_s, size_bytes and service_s"),
        (TIMED + "0,/a,1\n", "line 2: expected numbers for time_s, size_bytes and service_s"),
        ("time_s,size_bytes,object\n0,1\n", "line 2: expected a name for object"),
        (HEAD + "0,,1\n", "line 2: expected a name for object"),
        (HEAD + "nan,/a,1\n", "line 2: expected finite numbers that are not negative"),
        (HEAD + "inf,/a,1\n", "line 2: expected finite numbers that are not negative"),
        (HEAD + "0,/a,-1\n", "line 2: expected finite numbers that are not negative"),
        (TIMED + "0,/a,1,-0.1\n", "line 2: expected finite numbers that are not negative"),
        (HEAD + "-1,/a,1\n", "line 2: expected finite numbers that are not negative"),
        (
            HEAD + "1,/a,1\n1.7e12,/a,1\n",
            "line 3: expected seconds, not 1.7e+12; if these are milliseconds, say --columns time=NAME:ms",
        ),
    ],
)
def test_a_wrong_trace_gets_one_line_with_its_number(trace, text: str, said: str) -> None:
    file = trace(text)
    with pytest.raises(BadInput) as caught:
        read_trace(file)
    assert str(caught.value) == f"{file}: {said}"


def test_times_that_fall_are_as_the_file_has_them(trace) -> None:
    assert read_trace(trace(HEAD + "1,/a,1\n3,/a,1\n2.5,/a,1\n")).times.tolist() == [1.0, 3.0, 2.5]


def test_names_are_compared_byte_by_byte_whatever_their_encoding(trace) -> None:
    rows = [b"0,caf\xe9,1", b"1,caf\xc3\xa9,1", b"2,\xff\xfe,1", b"3,caf\xe9,1"]
    assert read_trace(trace(HEAD.encode() + b"\n".join(rows))).objects.tolist() == [0, 1, 2, 0]


def test_a_zero_byte_in_a_name_is_the_sign_of_another_kind_of_file(trace) -> None:
    with pytest.raises(BadInput, match=r"line 3: holds a NUL byte; is this a binary file\? say --format$"):
        read_trace(trace(HEAD + "0,a,1\n1,a\0b,1\n"))


def test_a_missing_trace_and_a_folder(trace, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_trace(tmp_path / "nothing.csv")
    assert str(caught.value) == f"{tmp_path / 'nothing.csv'}: cannot be read: No such file or directory"
    with pytest.raises(BadInput, match=r": cannot be read: Is a directory$"):
        read_trace(tmp_path)


def test_a_workload_passes_the_complaint_on(scenario) -> None:
    with pytest.raises(BadInput, match=r"^/nowhere\.csv: cannot be read: "):
        Workload(scenario({"workload.users": None, "workload.trace": "/nowhere.csv"}))
