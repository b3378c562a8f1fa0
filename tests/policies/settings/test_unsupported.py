"""What only the simulator models is refused by the real twin, never silently left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.bad_input import BadInput
from policies.settings import parse_settings
from policies.settings.unsupported import NOT_OBEYED_YET, NOT_YET, WHY, check_obeyed
from realproxy import Proxy
from realproxy.control.check import check

SET: dict[str, Any] = {
    "workers": 4,
    "cache.hit_lock": "20us",
}


def tables(key: str | None) -> dict[str, Any]:
    service: dict[str, Any] = {"upstreams": "127.0.0.1:9001"}
    data: dict[str, Any] = {"route": [{"to": "web"}], "service": {"web": service}}
    if key is not None:
        parent, _, last = key.rpartition(".")
        places = {"": data, "service.*": service}
        (places[parent] if parent in places else data.setdefault(parent, {}))[last] = SET[key]
    return data


@pytest.mark.parametrize("key", NOT_OBEYED_YET)
def test_the_real_proxy_refuses_a_key_that_it_would_not_obey(key: str) -> None:
    settings = parse_settings(tables(key))
    with pytest.raises(BadInput) as said:
        Proxy(settings, where="proxy.toml")
    name = key.replace("*", "web")
    assert str(said.value) == f"proxy.toml: {name}: {WHY.get(key, NOT_YET)}"


def test_check_tells_the_same_as_a_start(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    file.write_text(
        '[service.web]\nupstreams = "127.0.0.1:9001"\n[[route]]\nto = "web"\n[cache]\nhit_lock = "20us"\n'
    )
    assert [finding.key for finding in check(file).mistakes] == ["cache.hit_lock"]


def test_defaults_are_obeyed() -> None:
    assert check_obeyed(parse_settings(tables(None)), "proxy.toml") == []
