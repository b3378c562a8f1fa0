"""A student's copies of the lessons: edited ones are never overwritten, new editions are told of.

A copy counts as edited if the text of its cells is none that was ever copied. Outputs do not count. The file
`_RECORD` in the folder of the copies has, for each lesson, the hashes of all editions that were copied.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from policies.bad_input import BadInput
from twin.output.files import write_json, write_whole

_RECORD = ".editions.json"


@dataclass
class Changes:
    """What an update of the copies did: the names of files.

    Attributes
    ----------
    renewed : list of str
        Copies without edits that were replaced by a new edition.
    beside : list of str
        New editions that stand beside an edited copy.
    put_aside : list of str
        New names of edited copies that the shipped lesson has replaced.
    """

    renewed: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    put_aside: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The changes for a reader, a line for each kind."""
        said = {
            "replaced by a new edition": self.renewed,
            "new editions beside the lessons that you have edited": self.beside,
            "your former lessons": self.put_aside,
        }
        return [f"{what}: {', '.join(names)}" for what, names in said.items() if names]


def update_copies(shipped: Sequence[Path], folder: Path, fresh: bool = False) -> Changes:
    """Copy lessons that are missing, and new editions of the others.

    Parameters
    ----------
    shipped : sequence of path
        The notebooks of the repository.
    folder : path
        Where the copies are; it is created if it does not exist.
    fresh : bool
        Begin anew: put edited copies aside under another name.

    Raises
    ------
    BadInput
        If the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"cannot be used: {error.strerror}; name another folder: proxytwin lab FOLDER"
        raise BadInput("lab", str(folder), problem) from None
    record, changes = _read_record(folder), Changes()
    for lesson in shipped:
        known = record.setdefault(lesson.name, [])
        _update(lesson, folder / lesson.name, known, fresh, changes)
        if (edition := _edition(lesson)) not in known:
            known.append(edition)
    write_json(folder / _RECORD, record)
    return changes


def _update(lesson: Path, copy: Path, known: Sequence[str], fresh: bool, changes: Changes) -> None:
    edition = _edition(lesson)
    if copy.exists():
        present = _edition(copy)
        edited = present not in (edition, *known)
        if fresh and edited:
            aside = next(path for path in _names(copy, "mine") if not path.exists())
            copy.rename(aside)
            changes.put_aside.append(aside.name)
        elif not fresh and (edition in known or present == edition):
            return
        elif edited:
            copy = next(path for path in _names(copy, "new") if not path.exists() or _edition(path) in known)
            changes.beside.append(copy.name)
        elif present != edition:
            changes.renewed.append(copy.name)
    write_whole(copy, lesson.read_bytes())


def _names(copy: Path, word: str) -> itertools.chain[Path]:
    further = (copy.with_suffix(f".{word}-{number}.ipynb") for number in itertools.count(2))
    return itertools.chain([copy.with_suffix(f".{word}.ipynb")], further)


def _edition(notebook: Path) -> str:
    """A hash of the text of all cells; of the whole file if it is no notebook."""
    data = notebook.read_bytes()
    try:
        cells = [[cell["cell_type"], "".join(cell["source"])] for cell in json.loads(data)["cells"]]
        data = json.dumps(cells).encode()
    except (ValueError, KeyError, TypeError):
        pass
    return hashlib.sha256(data).hexdigest()


def _read_record(folder: Path) -> dict[str, list[str]]:
    """The editions that were copied; none if the record is missing or broken: then copies count as edited."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {name: [str(one) for one in known] for name, known in record.items() if isinstance(known, list)}
