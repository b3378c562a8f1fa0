"""Whether a lesson says what it computes: each number in its texts, against the computation behind it.

A *claim* is a piece of a lesson's text, with the function that computes its numbers. `uncovered` finds the
numbers, and the words that compare without a number, that no claim covers. So a new sentence needs a new
claim, and a new computation needs a new sentence.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lessons.balancing import least_moved
from lessons.both_at_once import cold_shield
from lessons.caching import lifetime_needed
from lessons.canary import drifted_users
from lessons.forward import ratio_behind
from lessons.ingress import door_limit
from lessons.kit import Exercise
from lessons.kit.confirmation import PROBES_S
from lessons.microservices import healing_budget
from lessons.not_only_http import enough_requests
from lessons.predict_then_confirm import fair_share
from lessons.proxy_or_vpn import clear_wires
from lessons.trust import enough_runs
from scenarios.loading import LoadedScenario

ROOT = Path(__file__).parents[3]
EXERCISES: dict[int, Exercise] = {
    1: fair_share, 2: least_moved, 3: enough_runs, 4: ratio_behind, 5: enough_requests, 6: lifetime_needed,
    7: door_limit, 8: drifted_users, 9: healing_budget, 10: cold_shield, 11: clear_wires,
}  # fmt: skip
WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "fourteen": 14, "sixteen": 16, "twenty": 20, "thirty": 30, "forty": 40,
    "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100, "thousand": 1000, "half": 0.5, "twice": 2,
    "double": 2, "doubles": 2,
}  # fmt: skip
"""The word "one" is seldom a number."""
PHRASES = {
    "two and a quarter": 2.25, "three quarters": 0.75, "two thirds": 2 / 3, "four hundred": 400,
    "ten thousand": 10_000, "a quarter": 1 / 4, "a third": 1 / 3, "a fifth": 1 / 5, "a tenth": 1 / 10,
}  # fmt: skip
COMPARISONS = (
    "hardly", "nearly", "almost", "much", "far", "little", "handful", "suddenly", "wildly", "vanish",
    "most of", "worst", "best", "worse", "steeply", "large", "enough",
)  # fmt: skip
"""Words that say how large something is, without a number."""
_NUMBER = re.compile(
    rf"(?P<phrase>\b(?:{'|'.join(PHRASES)})\b)|(?P<digits>(?<![\w.`])\d[\d,]*(?:\.\d+)?(?![\w`]))"
    rf"|(?P<word>\b(?:{'|'.join(WORDS)})\b)",
    re.IGNORECASE,
)
_COMPARISON = re.compile(rf"\b(?:{'|'.join(COMPARISONS)})\b", re.IGNORECASE)
_NO_NUMBERS = re.compile(
    r"\$\$.*?\$\$|\$[^$\n]*\$|```.*?```|`[^`\n]*`"  # formulas and code: other tests run them
    r"|<[^>]*>|\]\([^)\n]*\)|^#+ [^\n]*$|^\d\. |\b[Ll]essons? \d+( to \d+)?|\b[Ss]teps? \d"
    r"|For example: [\d.]+|It takes about [34]0 minutes"
    r"|\bp\d\d\b|\w*/[MD]/1|MSER-5|TLS 1\.3|127\.[\d.]+|\bversion \d\w?|[Hh]alf (?=width|now|wanted)"
    r"|, (19|20)\d\d|[( ](19|20)\d\d\)|SOSP 1999|Surveys 10\(3\)|Systems 12\b"
    r"|\b(the|The|these|all|other|both|its|only|last|which|Which) (two|three|four|ten)\b(?! hundred)",
    re.DOTALL | re.MULTILINE,
)
"""Headings, references, years, how a guess may look, and words that point to a number said before."""

Value = float | tuple[float, float]


def numbers(text: str) -> list[tuple[float, float, int]]:
    """Value, tolerance and place of every number in a text. The tolerance is half of the last digit."""
    found = []
    for match in _NUMBER.finditer(_blanked(text)):
        said = match[0].lower()
        if match["digits"]:
            value = float(said.replace(",", ""))
            found.append((value, 0.5 * 10.0 ** -len(said.partition(".")[2]), match.start()))
        else:
            value = PHRASES.get(said) or WORDS[said]
            found.append((value, 0.1 * value, match.start()))
    return found


def _blanked(text: str) -> str:
    return _NO_NUMBERS.sub(lambda match: " " * len(match[0]), text)


def texts(lesson: int) -> Iterator[str]:
    """Everything that a lesson says: its notebook's cells, its exercise, and its row in the README."""
    (path,) = (ROOT / "notebooks").glob(f"{lesson:02}_*.ipynb")
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        yield from [source] if cell["cell_type"] == "markdown" else _said_in_code(source)
    exercise = EXERCISES[lesson]
    yield from (*exercise._hints, exercise._why)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    yield from re.findall(rf"^\| \[{lesson}\]\([^)]*\) \| (.*) \|$", readme, re.MULTILINE)


def _said_in_code(source: str) -> Iterator[str]:
    """Comments, and the strings that are sentences."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(" ") > 2:
            yield node.value


@pytest.fixture(scope="session")
def against_text() -> Callable[[int, str, object], None]:
    """Assert that a piece of a lesson's text is there, and says the computed numbers in their order."""

    def check(lesson: int, said: str, computed: Sequence[Value] | bool) -> None:
        assert any(said in text for text in texts(lesson)), "this is in no text of the lesson"
        written = numbers(said)
        if isinstance(computed, bool):
            assert computed and not written, "a piece of text with numbers needs all of them computed"
            return
        values = list(computed)
        assert len(written) == len(values), f"numbers: {[value for value, _, _ in written]}"
        for (value, tolerance, _), expected in zip(written, values, strict=True):
            low, high = expected if isinstance(expected, tuple) else (expected, expected)
            assert low - tolerance <= value <= high + tolerance, f"{value:g} is said, {expected} is computed"

    return check


@pytest.fixture(scope="session")
def uncovered() -> Callable[[int, Mapping[str, Any], Iterable[str]], list[str]]:
    """The numbers and comparisons in a lesson's texts that no claim covers, with what stands around them."""

    def find(lesson: int, claims: Mapping[str, Any], others: Iterable[str]) -> list[str]:
        pieces, missing = [*claims, *others], []
        for text in texts(lesson):
            covered = [
                range(match.start(), match.end())
                for piece in pieces
                for match in re.finditer(re.escape(piece), text)
            ]
            places = [place for _, _, place in numbers(text)]
            places += [match.start() for match in _COMPARISON.finditer(_blanked(text))]
            for place in sorted(places):
                if not any(place in span for span in covered):
                    missing.append(text[max(place - 30, 0) : place + 40].replace("\n", " "))
        return missing

    return find


@pytest.fixture(scope="session")
def planned_s() -> Callable[[int], float]:
    """The seconds that a lesson's notebook plans for the runs of its confirmation, and for the probes."""

    def seconds(lesson: int) -> float:
        (path,) = (ROOT / "notebooks").glob(f"{lesson:02}_*.ipynb")
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        (confirm,) = (cell for cell in code if "confirm" in cell["metadata"].get("tags", []))
        names: dict[str, Any] = {}
        exec("".join(code[0]["source"]), names)
        asked: list[tuple[LoadedScenario, int]] = []
        names["confirm_in_notebook"] = lambda loaded, repeats=2: asked.append((loaded, repeats))
        exec("".join(confirm["source"]), names)
        ((loaded, repeats),) = asked
        return repeats * sum(variant.scenario.duration for variant in loaded.variants) + sum(PROBES_S)

    return seconds


@pytest.fixture(scope="session")
def unknown() -> Callable[[int, Iterable[str]], list[str]]:
    """The pieces that are in no text of the lesson, and so cover nothing."""

    def find(lesson: int, pieces: Iterable[str]) -> list[str]:
        return [piece for piece in pieces if not any(piece in text for text in texts(lesson))]

    return find
