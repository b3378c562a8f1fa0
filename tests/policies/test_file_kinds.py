"""What a file is: by its keys, its first bytes, or its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import file_kinds
from policies.file_kinds import kind_of_content, kind_of_tables, kind_of_toml


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"", "", "EMPTY"),
        (b" \n\t\n", "", "EMPTY"),
        (b"\xef\xbb\xbf\n", "", "EMPTY"),
        (b"time_s,object,size_bytes\n0,a,1\n", "t.csv", "TRACE"),
        (b"0;a;1\n", "", "TRACE"),
        (b"1\ta\t100", "", "TRACE"),
        (b'::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1\n', "access.log", "TRACE"),
        (b"\0\0\0\0", "x.oracleGeneral.bin", "TRACE"),
        (b'{\n "cells": [],\n "nbformat": 4}', "a.ipynb", "NOTEBOOK"),
        (b'{"scenario": "x", "variants": []}', "out.json", "RESULT"),
        (b'{"a": 1}', "", "JSON"),
        (b"<!DOCTYPE html><title>", "", "PAGE"),
        (b"<?xml version='1.0'?>\n<svg/>", "", "PICTURE"),
        (b"\x89PNG\r\n", "", "PICTURE"),
        (b"%PDF-1.7", "", "PICTURE"),
        (b"PK\x03\x04", "run.npz", "RECORDS"),
        (b"\x1f\x8b\x08", "", "COMPRESSED"),
        (b"\x28\xb5\x2f\xfd", "", "COMPRESSED"),
        (b"\x7fELF\0\0", "", "BINARY"),
        (b"title = [", "", None),
        (b"# A text\n\nwith two, three, commas\n", "", None),
        ("title".encode("utf-16"), "", None),
    ],
)
def test_a_file_is_known_by_its_first_bytes(content: bytes, name: str, kind: str | None) -> None:
    assert kind_of_content(content, name) == (None if kind is None else getattr(file_kinds, kind))


def test_a_toml_file_is_known_by_its_keys() -> None:
    assert kind_of_toml(b"[workload]\nusers = 1") == file_kinds.SCENARIO
    assert kind_of_toml(b"listen = ':1'") == kind_of_tables({"route": []}) == file_kinds.PROXY
    assert kind_of_toml(b"[project]\nname = 'x'") is kind_of_toml(b"\xff") is kind_of_toml(b"x = [") is None


@given(st.binary(max_size=200), st.text(max_size=20))
def test_any_bytes_are_something_or_nothing(content: bytes, name: str) -> None:
    kind = kind_of_content(content, name)
    assert kind is None or kind in vars(file_kinds).values()
    kind_of_toml(content)
