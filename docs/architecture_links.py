"""The links into the code in docs/architecture.md: the table of the phases, and the line of every name.

A link such as ``[`Class.method`](../folder/file.py#L1)`` gets the line at which its name is defined now.
"""

from __future__ import annotations

import re

from source_tree import ROOT, WrongTreeError, definitions, first_sentence, home_of, tuple_of_names

DOCUMENT = ROOT / "docs" / "architecture.md"
PIPELINE = ROOT / "realproxy" / "proxying" / "pipeline.py"
BEGIN, END = "<!-- phases: written by docs/draw_house.py -->", "<!-- end of phases -->"

CALLS = {
    "identify": "client_of told_proto follow decrement",
    "route": "request_attributes Routes.match",
    "authorise": "check_tunnels ForwardAccess.authorise ForwardAccess.check_name",
    "inject_faults": "inject struck_by",
    "look_up": "CacheStore.lookup reuse Collapser.join send_cached",
    "open_upstream": "RoundTrip.open ServiceTarget.begin ConnectionPool.acquire",
    "send_request": "RoundTrip.send upstream_request",
    "await_response": "RoundTrip.wait_for_head RoundTrip.try_receive_head RoundTrip.fail_over",
    "respond": "CacheWriter.start ResponseForwarder.run CacheWriter.commit",
}
"""What to read next, for each phase: names that exist once in `FOLDERS`."""
FOLDERS = ("realproxy/proxying", "realproxy/cache", "realproxy/upstream", "realproxy/messages", "policies")

_LINK = re.compile(r"\[`([\w.]+)`\]\(\.\./([\w/.]+\.py)#L\d+\)")


def without_line_numbers(text: str) -> str:
    """A document in which every line number of the code is 0."""
    return re.sub(r"(#L|\.py:)\d+", r"\g<1>0", text)


def updated(text: str) -> str:
    """The document with the table of the phases and the line numbers of the present code."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise WrongTreeError(f"docs/architecture.md lacks the line {BEGIN} or {END}")
    text = f"{before}{BEGIN}\n{phases()}{END}{after}"
    wrong = sorted(
        {f"{name} is not in {file}" for name, file in _LINK.findall(text) if not _line(name, file)}
    )
    if wrong:
        raise WrongTreeError(f"docs/architecture.md: {'; '.join(wrong)}")
    return _LINK.sub(lambda link: f"[`{link[1]}`](../{link[2]}#L{_line(link[1], link[2])})", text)


def phases() -> str:
    """A row for each phase of a request, in the order in which they run."""
    rows = ["", "| phase | what it does | where | read next |", "|---|---|---|---|"]
    for name, comment in tuple_of_names(PIPELINE, "PHASES").items():
        home = home_of(name, PIPELINE)
        says = comment or first_sentence(home, name)
        file, line = home.relative_to(ROOT), definitions(home)[name]
        place = f"[`{file}:{line}`](../{file}#L{line})"
        calls = ", ".join(map(_link, CALLS.get(name, "").split()))
        rows.append(f"| `{name}` | {says[:1].upper()}{says[1:]} | {place} | {calls} |")
    return "\n".join([*rows, "", ""])


def _link(name: str) -> str:
    places = [
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        if name in definitions(path)
    ]
    if len(places) != 1:
        found = " and ".join(str(path.relative_to(ROOT)) for path in places) or "no file"
        raise WrongTreeError(f"docs/architecture_links.py, CALLS: {name} is defined in {found}")
    return f"[`{name}`](../{places[0].relative_to(ROOT)}#L0)"


def _line(name: str, file: str) -> int | None:
    path = ROOT / file
    return definitions(path).get(name) if path.is_file() else None
