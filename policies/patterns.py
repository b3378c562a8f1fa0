"""Patterns in settings: exact text, glob (``*.shop.test``) or regular expression (``~^api``)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable


def check_pattern(text: str) -> str:
    """Return `text` if it can be compiled; raise `ValueError` if it cannot (for pydantic)."""
    compile_pattern(text)
    return text


def compile_pattern(text: str, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """A function that tests a value against a pattern.

    Parameters
    ----------
    text : str
        A regular expression after ``~`` (it may match anywhere); a glob if it contains ``*``, ``?`` or
        ``[`` (it must match the whole value; ``*`` also matches slashes and dots); else the exact text.
    ignore_case : bool
        For host names.

    Raises
    ------
    ValueError
        If the regular expression is invalid.
    """
    flags = re.IGNORECASE if ignore_case else 0
    if text.startswith("~"):
        try:
            found = re.compile(text[1:], flags).search
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{text!r} is not a valid regular expression: {error}") from None
        return lambda value: found(value) is not None
    if text.endswith("*") and not ignore_case and not any(mark in text[:-1] for mark in "*?["):
        beginning = text[:-1]
        return lambda value: value.startswith(beginning)
    if any(mark in text for mark in "*?["):
        covers = re.compile(fnmatch.translate(text), flags).match
        return lambda value: covers(value) is not None
    if ignore_case:
        exact = text.lower()
        return lambda value: value.lower() == exact
    return lambda value: value == text
