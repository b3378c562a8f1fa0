"""How often a lesson's confirmation tells its variants apart, and what its verdicts are.

    python -m benchmarks.lesson_confirmation [1] [--times 20] [--metric p99_ms] [--of 19]

It runs the cell of a notebook that confirms the lesson, as it is written there, again and again, and counts:
in how many runs all variants can be told apart by the metric and the twins agree on their order, and how
often each verdict came. Void runs count like others, and are named. Exit status 1 if fewer than `--of` runs
tell the variants apart. Use a quiet machine: one run takes about 25 seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lessons.kit.confirmation import PROBES_S
from scenarios.loading import LoadedScenario
from simulator import Costs
from twin.confirm.compare import HIGHER_IS_BETTER
from twin.confirm.conclusion import in_order, labels_in_order
from twin.confirm.outcome import Confirmation
from twin.confirm.procedure import confirm

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def quietly(loaded: LoadedScenario, *, costs: Costs | None = None, repeats: int = 2) -> Confirmation:
    """What `lessons.kit.confirm_in_notebook` does, without its bars, table and figure."""
    return confirm(loaded, repeats=repeats, costs=costs, probes_s=PROBES_S, tries=1)


def confirmation_of(lesson: int) -> Confirmation:
    """Run the lesson's imports, and then the cell that is tagged *confirm*."""
    (path,) = NOTEBOOKS.glob(f"{lesson:02}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    (tagged,) = (cell for cell in code if "confirm" in cell["metadata"].get("tags", []))
    names: dict[str, Any] = {}
    exec("".join(code[0]["source"]), names)
    names["confirm_in_notebook"] = quietly
    exec("".join(tagged["source"]), names)
    found = names["found"]
    assert isinstance(found, Confirmation), "this lesson's confirmation compares no variants"
    return found


def all_told_apart(found: Confirmation, metric: str) -> bool:
    """Whether each pair can be told apart, and both twins put all variants in the same order."""
    ranking, pairs = found.rankings[metric], math.comb(len(found.variants), 2)
    return len(ranking.apart) == pairs and ranking.kendall_tau == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("lesson", type=int, nargs="?", default=1, help="number of the lesson (1)")
    parser.add_argument("--times", type=int, default=20, help="number of confirmations (20)")
    parser.add_argument("--metric", default="p99_ms", help="the metric of the order (p99_ms)")
    parser.add_argument("--of", type=int, help="the lowest number that is enough (19 of 20)")
    asked = parser.parse_args()
    enough = asked.of if asked.of is not None else round(0.95 * asked.times)
    between = ">" if asked.metric in HIGHER_IS_BETTER else "<"
    apart, void, verdicts = 0, 0, Counter[str]()
    for number in range(1, asked.times + 1):
        began = time.monotonic()
        found = confirmation_of(asked.lesson)
        told = all_told_apart(found, asked.metric)
        apart, void = apart + told, void + bool(found.void)
        verdicts.update(f"{one.variant.label} {one.verdict}" for one in found.variants)
        print(
            f"{number:2}: {'told apart' if told else 'NOT told apart'}: "
            + in_order(*labels_in_order(found, asked.metric), between=between)
            + "; "
            + ", ".join(
                f"{one.variant.label} {getattr(one.simulated, asked.metric):.0f} / "
                f"{getattr(one.measured, asked.metric):.0f} ({one.verdict})"
                for one in found.variants
            )
            + f"{'; VOID: ' + found.void[0] if found.void else ''}; {time.monotonic() - began:.0f} s",
            flush=True,
        )
    print(
        f"told apart by {asked.metric}: {apart} of {asked.times} (void: {void}); at least {enough} expected"
    )
    print("verdicts: " + ", ".join(f"{label}: {count}" for label, count in sorted(verdicts.items())))
    return 0 if apart >= enough else 1


if __name__ == "__main__":
    sys.exit(main())
