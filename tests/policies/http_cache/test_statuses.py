"""Which statuses are stored: the table, the decisions that follow from it, and the table in the docs."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.causes import OVERRIDES, REDIRECTING, UNUSUAL
from policies.http_cache.freshness import NotStored, Request, read_answer
from policies.http_cache.statuses import STATUSES, Storing, row

DOCS = Path(__file__).resolve().parents[3] / "docs" / "caching.md"
FRESH = {"cache-control": "max-age=60"}


def reason(status: int, fields: dict[str, str], ttl: float | None = None) -> NotStored | None:
    return read_answer(status, fields.get, Request(), False, ttl, 0.0, 0.0).reason


@pytest.mark.parametrize("status", [428, 429, 431, 511])
def test_what_rfc_6585_forbids_is_not_stored_whatever_the_origin_says(status):
    """RFC 6585, 3 to 6: "MUST NOT be stored by a cache"."""
    for value in ("max-age=60", "public, s-maxage=60", "public, max-age=60, immutable, must-understand"):
        assert reason(status, {"cache-control": value}) is NotStored.STATUS
        assert reason(status, {"cache-control": value, "etag": '"a"'}, ttl=60.0) is NotStored.STATUS


@pytest.mark.parametrize(
    "status", [100, 101, 103, 199, 206, 226, 304, 407, 408, 421, 425, 426, 510, 600, 999]
)
def test_what_is_about_one_connection_or_is_no_final_answer_is_not_stored(status):
    assert reason(status, {"cache-control": "public, max-age=60"}, ttl=60.0) is NotStored.STATUS


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501])
def test_what_is_heuristically_cacheable_needs_no_explicit_freshness(status):
    """RFC 9110, 15.1; RFC 7725, 3."""
    assert reason(status, {}, ttl=60.0) is None


@pytest.mark.parametrize(
    "status", [201, 202, 299, 302, 303, 307, 400, 403, 409, 418, 422, 499, 500, 502, 503, 504, 599]
)
def test_other_statuses_are_stored_only_with_explicit_freshness(status):
    assert reason(status, FRESH) is None
    assert reason(status, {}, ttl=60.0) is NotStored.STATUS


@given(
    st.integers(100, 999),
    st.sampled_from(["max-age=9", "public, max-age=9", "s-maxage=9", "must-understand, max-age=9"]),
)
def test_the_table_decides_about_every_status(status, value):
    found = reason(status, {"cache-control": value})
    storing = row(status).storing
    unknown = "must-understand" in value and status not in STATUSES  # RFC 9111, 5.2.2.3
    if storing in (Storing.NEVER, Storing.PART) or unknown:
        assert found is NotStored.STATUS
    elif row(status).needs:
        assert found is NotStored.REQUEST_FIELDS
    else:
        assert found is None


def test_a_challenge_is_for_those_without_credentials_so_vary_must_say_so():
    """RFC 9110, 11.6.1: a 401 is caused by what a request lacks, too."""
    assert reason(401, FRESH) is NotStored.REQUEST_FIELDS
    assert reason(401, {**FRESH, "vary": "Accept, AUTHORIZATION"}) is None


def _rows_of_the_docs() -> dict[int, list[str]]:
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|(.*)\|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        int(status): [cell.strip() for cell in cells.split("|")]
        for statuses, cells in rows
        for status in statuses.split(", ")
    }


def test_the_docs_have_the_whole_table():
    told = _rows_of_the_docs()
    assert set(told) == set(STATUSES)
    for status, found in STATUSES.items():
        causes = ", ".join(sorted(found.causes)) or "–"
        assert told[status] == [found.storing.value, found.section, causes], status


def test_the_docs_name_every_field_of_the_lists():
    text = DOCS.read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9-]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    for name in OVERRIDES | REDIRECTING | UNUSUAL:
        assert name in named, name
