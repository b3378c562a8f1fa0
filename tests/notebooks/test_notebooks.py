"""Every lesson, executed as by a student: without errors, with its sliders moved, and no process left.

An error in a slider's callback does not stop a notebook: it is hidden in an Output widget or in a log. So
these tests move all sliders to both ends after the last cell, and then check every output, including those
inside widgets.

The packages that execute notebooks take seconds to load, and every test process imports this module. So they
are imported inside functions.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STEPS = ("Predict", "Simulate", "Explain", "Confirm", "Exercise", "Where the model breaks")
CONFIRM_LIMIT_S, LESSON_LIMIT_S = 30.0, 75.0
GIVE_UP_S = 240
pytestmark = pytest.mark.timeout(GIVE_UP_S + 60)

MOVE_EVERYTHING = """
import sys, traceback
from ipywidgets.widgets.widget import _instances

moved = 0
for control in list(_instances.values()):
    if hasattr(control, "_options_full"):
        places = [value for _, value in control._options_full]
    elif "Slider" in type(control).__name__ and hasattr(control, "value"):
        places = [control.min, control.max]
    else:
        continue
    try:
        control.value = places[PLACE]
        moved += 1
    except IndexError:
        continue
    except Exception:
        print(f"moving {type(control).__name__} to {places[PLACE]!r}:", file=sys.stderr)
        traceback.print_exc()
moved
"""
PLACES = 4
"""Ends of a slider, or first choices of a list. Each has a cell, because a move may erase an error."""

WIDGET = "application/vnd.jupyter.widget-view+json"
LAST_STATES = """
from ipywidgets.widgets.widget import _instances
from lessons.kit.explorer import Explorer
import json; print(json.dumps([one.picture.alt for one in _instances.values() if isinstance(one, Explorer)]))
"""
COUNT_CHILDREN = (
    "import psutil; [' '.join(child.cmdline()) for child in psutil.Process().children(recursive=True)]"
)


class Watched:
    """Executes a notebook to its end, even after errors, and checks all widgets after each cell."""

    def __init__(self, notebook: NotebookNode) -> None:
        from nbclient import NotebookClient
        from nbclient.output_widget import OutputWidget

        class KeptOutput(OutputWidget):
            """An Output widget whose content stays in this process.

            nbclient also sends it to the kernel while a cell runs, and this can make ipykernel 7 hang.
            """

            def sync_state(self) -> None:
                return

        self._client = NotebookClient(
            notebook,
            timeout=GIVE_UP_S,
            kernel_name="python3",
            allow_errors=True,
            resources={"metadata": {"path": str(ROOT / "notebooks")}},
            on_cell_executed=self._look_into_widgets,
        )
        self._client.widget_registry = {"@jupyter-widgets/output": {"OutputModel": KeptOutput}}
        self._in_widgets: list[str] = []

    def _look_into_widgets(self, cell_index: int, **_: object) -> None:
        for widget in self._client.widget_state.values():
            found = [problem_of(output) for output in widget.get("outputs", [])]
            self._in_widgets += [
                f"widget, after cell {cell_index}: {problem}" for problem in found if problem
            ]

    def run(self, folder: Path) -> float:
        """Run all cells in a new kernel that keeps its files in `folder`; returns the elapsed seconds."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "IPYTHONDIR": str(folder),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        started = time.monotonic()
        self._client.execute(env=environment)
        return time.monotonic() - started

    @property
    def problems(self) -> list[str]:
        """All errors, from cells and from widgets."""
        in_cells = [
            f"cell {number}: {problem}"
            for number, cell in enumerate(self._client.nb.cells)
            for output in cell.get("outputs", [])
            if (problem := problem_of(output))
        ]
        return in_cells + self._in_widgets


def problem_of(output: dict[str, Any]) -> str:
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    if output["output_type"] == "stream":
        text = "".join(output["text"])
        if output["name"] == "stderr" or "Traceback (most recent call last)" in text:
            return text.strip()
    return ""


def cpu_seconds() -> tuple[float, float]:
    """CPU seconds of the whole machine, and of this process with its finished descendants."""
    machine = psutil.cpu_times()
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy = machine.user + machine.nice + machine.system
    return busy, sum(usage.ru_utime + usage.ru_stime for usage in usages)


def left_to_us(before: tuple[float, float], after: tuple[float, float], seconds: float) -> float:
    """Share of the machine that other programs left to this one, from 0.1 to 1."""
    others = (after[0] - before[0]) - (after[1] - before[1])
    return min(max(1 - others / (seconds * (os.cpu_count() or 1)), 0.1), 1.0)


@dataclass
class Executed:
    """A lesson after the execution of its cells and of the cells that the tests add.

    `patience` is a factor on time limits, which hold for an idle machine. It is above 1 if other programs
    used the machine.
    """

    notebook: NotebookNode
    problems: list[str]
    seconds: float
    patience: float

    def cells_tagged(self, tag: str) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if tag in cell.metadata.get("tags", [])]

    def results(self, tag: str) -> list[str]:
        """The values of the cells with this tag, as text."""
        outputs = [output for cell in self.cells_tagged(tag) for output in cell.outputs]
        return [
            output["data"]["text/plain"] for output in outputs if output["output_type"] == "execute_result"
        ]


def seconds_of(cell: NotebookNode) -> float:
    took = cell.metadata.execution
    begin, end = (
        datetime.fromisoformat(took[moment]) for moment in ("iopub.execute_input", "shell.execute_reply")
    )
    return (end - begin).total_seconds()


def tagged(source: str, tag: str) -> NotebookNode:
    from nbformat.v4 import new_code_cell

    return new_code_cell(source, metadata={"tags": [tag]})


def read(path: Path) -> NotebookNode:
    import nbformat

    return nbformat.read(path, as_version=4)


def solved(notebook: NotebookNode) -> str:
    """The hidden solution, followed by the last line of the exercise, which checks it."""
    texts = {tag: cell.source for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    solution = re.search(r"```python\n(.*?)```", texts["solution"], re.DOTALL)
    assert solution and "<details>" in texts["solution"]
    return f"{solution[1]}\n{texts['exercise'].splitlines()[-1]}"


def moves() -> list[NotebookNode]:
    return [tagged(MOVE_EVERYTHING.replace("PLACE", str(place)), "moves") for place in range(PLACES)]


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    notebook = read(request.param)
    notebook.cells += [
        tagged("mine.unmeasured", "predictions"),
        tagged(COUNT_CHILDREN, "children"),
        *moves(),
        tagged(LAST_STATES, "states"),
        tagged(solved(notebook), "solved"),
    ]
    client, before = Watched(notebook), cpu_seconds()
    seconds = client.run(tmp_path_factory.mktemp("kernel"))
    return Executed(notebook, client.problems, seconds, 1 / left_to_us(before, cpu_seconds(), seconds))


def test_there_is_a_lesson() -> None:
    assert LESSONS


def test_limits_give_way_only_to_what_other_programs_use() -> None:
    cores = os.cpu_count() or 1
    assert left_to_us((0, 0), (10 * cores, 10 * cores), 10) == 1.0
    assert left_to_us((0, 0), (10 * cores, 5 * cores), 10) == pytest.approx(0.5)
    assert left_to_us((0, 0), (10 * cores, 0), 10) == 0.1


def test_a_lesson_runs_without_an_error_anywhere_and_in_time(lesson: Executed) -> None:
    assert not lesson.problems
    assert lesson.seconds < LESSON_LIMIT_S * lesson.patience


def test_its_sliders_were_moved_to_their_ends(lesson: Executed) -> None:
    assert sum(map(int, lesson.results("moves"))) >= 4


def test_a_saved_lesson_keeps_the_last_picture_of_every_explorer(lesson: Executed) -> None:
    (states,) = lesson.cells_tagged("states")
    saved = []
    for cell in lesson.notebook.cells:
        for widget, picture in itertools.pairwise([*cell.get("outputs", []), {}]):
            if WIDGET in widget.get("data", {}):
                assert "image/png" in picture["data"]
                saved.append(picture["metadata"]["image/png"]["alt"])
    assert saved and sorted(saved) == sorted(json.loads(states.outputs[0]["text"]))


def test_as_a_page_a_lesson_has_all_its_pictures_each_with_a_text(lesson: Executed) -> None:
    from nbconvert import HTMLExporter

    outputs = [output for cell in lesson.notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    page, _ = HTMLExporter().from_notebook_node(lesson.notebook)
    images = re.findall(r"<img\b[^>]*>", re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL))
    assert len(images) == len(pictures) > 0
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)
    assert "No description has been provided" not in page


def test_the_real_proxy_answers_within_half_a_minute_with_table_and_picture(lesson: Executed) -> None:
    (cell,) = lesson.cells_tagged("confirm")
    assert seconds_of(cell) < CONFIRM_LIMIT_S * lesson.patience
    shown = [kind for output in cell.outputs for kind in output["data"]]
    assert "image/png" in shown and WIDGET not in shown, "text has taken the place of the bars"
    tables = "".join(output["data"].get("text/html", "") for output in cell.outputs)
    assert "predicted" in tables and "measured" in tables


def test_every_prediction_of_the_student_is_measured(lesson: Executed) -> None:
    assert lesson.results("predictions") == ["[]"]


def test_no_process_is_left_behind(lesson: Executed) -> None:
    assert lesson.results("children") == ["[]"]


def test_an_exercise_that_is_not_begun_says_so_and_its_solution_is_right(lesson: Executed) -> None:
    assert [text.split(". ")[0] for text in lesson.results("exercise")] == ["Your turn"]
    assert [text.split(". ")[0] for text in lesson.results("solved")] == ["Right"]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_in_the_repository_a_lesson_is_stripped_and_names_no_machine(path: Path) -> None:
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8"))


def test_nbstripout_finds_nothing_to_strip() -> None:
    strip = [sys.executable, "-m", "nbstripout", "--verify", *map(str, LESSONS)]
    assert subprocess.run(strip, check=False, capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_all_steps_in_their_order(path: Path) -> None:
    notebook = read(path)
    headings = re.findall(r"^## (.+)$", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    places = [next(number for number, heading in enumerate(headings) if step in heading) for step in STEPS]
    assert places == sorted(places)


WRONG = {
    "hides when drawn": "import ipywidgets as w; w.interact(lambda x: 1 / 0, x=w.IntSlider(1, 1, 3)); None",
    "hides until moved": (
        "import ipywidgets as w; w.interact(lambda y: 'x' + 1 if y > 8 else y, y=w.IntSlider(1, 1, 9)); None"
    ),
    "callback raises": (
        "def late(change):\n    raise LookupError('only when moved')\n"
        "slider = w.IntSlider(1, 1, 9); slider.observe(late, 'value'); slider"
    ),
    "warns": "import warnings; warnings.warn('old ways', stacklevel=1)",
    "prints its traceback": (
        "import traceback\ntry:\n    {}['no']\nexcept KeyError:\n    print(traceback.format_exc())"
    ),
    "fails": "raise RuntimeError('plainly')",
}


def of_cells(*sources: str) -> NotebookNode:
    """A notebook whose sliders are moved."""
    from nbformat.v4 import new_code_cell, new_notebook

    return new_notebook(cells=[*map(new_code_cell, sources), *moves()])


def test_a_wrong_callback_cannot_hide(tmp_path: Path) -> None:
    client = Watched(of_cells(*WRONG.values()))
    client.run(tmp_path)
    hidden = [problem for problem in client.problems if problem.startswith("widget")]
    drawn, moved = "after cell 0: ZeroDivisionError", f"after cell {len(WRONG) + 1}: TypeError"
    assert any(drawn in problem for problem in hidden) and any(moved in problem for problem in hidden)
    for expected in ("LookupError: only when moved", "old ways", "KeyError: 'no'", "RuntimeError: plainly"):
        assert any(expected in problem for problem in client.problems), expected


def test_a_right_notebook_has_no_problems(tmp_path: Path) -> None:
    source = "import ipywidgets as w; w.interact(lambda x: print(x), x=w.IntSlider(1, 1, 3)); print('fine')"
    notebook = of_cells(source)
    client = Watched(notebook)
    client.run(tmp_path)
    assert client.problems == []
    assert "fine" in notebook.cells[0].outputs[-1]["text"]
