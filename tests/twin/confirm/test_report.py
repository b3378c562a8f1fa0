"""The page is well-formed, fetches nothing, and says everything that was found."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from scenarios.loading import LoadedScenario
from simulator import Costs
from twin.confirm import report
from twin.confirm.outcome import Calibration, Confirmation
from twin.confirm.report import confirmation_page
from twin.plots.style import MEASURED, PREDICTED

VOID_ELEMENTS = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The elements and the text of a page; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    def pictures(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == "img"]

    def classes(self) -> list[str]:
        return [name for _, attributes in self.elements for name in (attributes.get("class") or "").split()]


@pytest.fixture(scope="module")
def balanced_page(balanced: Confirmation) -> str:
    return confirmation_page(balanced)


@pytest.fixture(scope="module")
def cached_page(cached: Confirmation) -> str:
    return confirmation_page(cached)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For pages whose words alone differ from those of a page that was drawn."""
    monkeypatch.setattr(report, "_pictures", lambda _: [])


def test_the_page_is_well_formed_html(balanced_page: str) -> None:
    text = balanced_page
    assert text.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in text
    assert [tag for tag, _ in Page(text).elements].count("h1") == 1


def test_nothing_is_fetched_from_anywhere(cached_page: str) -> None:
    text = cached_page
    for tag, attributes in Page(text).elements:
        assert tag not in ("script", "link", "iframe")
        assert "href" not in attributes
        assert (attributes.get("src") or "data:").startswith("data:")
    without_pictures = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?://|url\(|@import", without_pictures)


def test_every_picture_is_a_whole_png_with_words_for_who_cannot_see_it(cached_page: str) -> None:
    for picture in Page(cached_page).pictures():
        data = base64.b64decode((picture["src"] or "").removeprefix("data:image/png;base64,"), validate=True)
        assert data.startswith(b"\x89PNG")
        assert b"IEND" in data[-12:]


def test_the_words_of_every_picture_say_its_figures(cached: Confirmation, cached_page: str) -> None:
    tails, percentiles, hits, shares = (picture["alt"] or "" for picture in Page(cached_page).pictures())
    for outcome in cached.variants:
        said, seen = outcome.simulated, outcome.measured
        p99 = f"p99, ms, {said.p99_ms:.1f} predicted and {seen.p99_ms:.1f} measured"
        assert f"{outcome.variant.label}: {p99}." in tails
        assert p99 in percentiles and f"p50, ms, {said.p50_ms:.1f} predicted" in percentiles
        assert f"hit ratio, {said.hit_ratio:.3f} predicted and {seen.hit_ratio:.3f} measured" in hits
        assert f"{outcome.variant.label}: web/0 100% predicted and 100% measured" in shares


def test_what_never_settles_is_told_on_the_page_and_in_its_pictures(cached: Confirmation) -> None:
    first, *others = cached.variants
    reason = "web/0 never settles: it grew from 1 to 99 requests"
    page = Page(confirmation_page(replace(cached, variants=[replace(first, unsettled=reason), *others])))
    assert f"Never settles. {first.variant.label}: {reason}" in page.text
    assert f"{first.variant.label} (never settles): p99" in (page.pictures()[0]["alt"] or "")


def test_hit_ratios_are_shown_only_where_something_is_cached(balanced_page: str, cached_page: str) -> None:
    plain, with_cache = Page(balanced_page), Page(cached_page)
    assert len(plain.pictures()) == 3
    assert len(with_cache.pictures()) == 4
    assert "hit ratio" not in plain.text.lower()
    assert "hit ratio" in with_cache.text


def test_every_variant_stands_there_with_its_figures_and_verdict(
    cached: Confirmation, cached_page: str
) -> None:
    text = Page(cached_page).text
    for outcome in cached.variants:
        assert f"{outcome.variant.label} predicted {outcome.simulated.throughput_rps:.1f}" in text
        assert f"{outcome.verdict} measured {outcome.measured.throughput_rps:.1f}" in text
        assert f"{outcome.measured.p99_ms:.1f} {outcome.measured.hit_ratio:.3f}" in text
    assert text.count("difference") >= 3
    assert "noise floor" in text
    assert "+0.0 %" in text
    assert "+0.0 pp" in text


def test_both_colours_are_used(balanced_page: str) -> None:
    text = balanced_page
    assert PREDICTED in text
    assert MEASURED in text
    assert {"predicted", "measured"} <= set(Page(text).classes())


def test_a_difference_beyond_its_tolerance_stands_out(
    balanced_page: str,
    without_pictures: None,
    load: Callable[..., LoadedScenario],
    confirmation: Callable[..., Confirmation],
) -> None:
    assert "beyond" not in Page(balanced_page).classes()
    off = confirmation(load(), slower=0.05)
    page = Page(confirmation_page(off))
    assert "beyond" in page.classes()
    assert off.refuted
    assert "2 refuted" in page.text


def test_titles_and_labels_are_text_and_not_markup(
    load: Callable[..., LoadedScenario], confirmation: Callable[..., Confirmation]
) -> None:
    evil = "<script>alert('x')</script> & $body"
    found = confirmation(load(title=evil, compare={"title": [evil, "b"]}), void=[f"{evil}: late"])
    page = Page(confirmation_page(replace(found, name=evil)))
    assert page.text.count(evil) >= 4
    assert "script" not in [tag for tag, _ in page.elements]


def test_void_runs_are_said_in_a_box_of_their_own(
    balanced: Confirmation, balanced_page: str, without_pictures: None
) -> None:
    assert "void" not in Page(balanced_page).classes()
    page = Page(confirmation_page(replace(balanced, void=["p2c: sent late", "p2c: too busy"])))
    assert page.classes().count("void") == 1
    assert "These runs prove nothing: p2c: sent late p2c: too busy" in page.text


def test_a_void_variant_has_a_badge_of_its_own_and_no_figure_of_it_is_judged(
    without_pictures: None,
    load: Callable[..., LoadedScenario],
    confirmation: Callable[..., Confirmation],
) -> None:
    off = confirmation(load(), slower=0.05, void=["the load generator sent late"])
    page = Page(confirmation_page(off))
    assert "beyond" not in page.classes(), "a figure that is not judged is not marked as wrong"
    assert "void measured" in page.text
    assert "inconclusive measured" not in page.text
    assert "2 void" in page.text
    assert "so no figure of the variant is judged" in page.text


def test_the_page_says_which_figures_are_not_judged(balanced: Confirmation, balanced_page: str) -> None:
    text = Page(balanced_page).text
    assert "Not judged (in parentheses): p99, because" in text
    assert "p50 10 %" in text and "also within 0.5 ms" in text
    assert "+0.0 % (+0.0 %)" in text, "p95 and p99"


def test_figures_that_are_not_known_are_dashes(balanced: Confirmation) -> None:
    nothing = dict.fromkeys(("mean_ms", "p50_ms", "p95_ms", "p99_ms", "error_ratio"), math.nan)
    first, *others = balanced.variants
    unknown = replace(
        first,
        measured=replace(first.measured, **nothing),
        difference=dict.fromkeys(first.difference),
        verdict="inconclusive",
    )
    found = replace(balanced, variants=[unknown, *others], noise=dict.fromkeys(balanced.noise))
    text = Page(confirmation_page(found)).text
    assert not re.search(r"\b(nan|none|inf)\b", text, re.IGNORECASE)
    assert f"measured {first.measured.throughput_rps:.1f} – – – –" in text
    assert "(–)" not in text
    assert "noise floor – – – – –" in text


def test_the_calibration_is_told_with_its_samples(
    balanced: Confirmation, balanced_page: str, without_pictures: None
) -> None:
    text = Page(balanced_page).text
    assert "289 responses from the backend and 296 from the cache" in text
    assert "response from the cache 150us" in text
    given = replace(balanced, calibration=Calibration.given(Costs(service_extra=1e-13)))
    text = Page(confirmation_page(given)).text
    assert "Given by the caller, not measured." in text
    assert "beyond the demanded work 0s" in text
