"""A script is sent with what it uses of `_common.lua`, and no more."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from cluster.store.lua_scripts import SCRIPTS
from cluster.store.lua_source import with_common

COMMON = """-- What all scripts share.
local NOW = 5

-- Adds one.
local function one(n) return n + 1 end

local function two(n)
  for i = 1, 2 do
    n = one(n)
  end
  return n
end
local function three(n) return n + 3 end
"""


def test_a_script_gets_the_functions_that_it_reaches_and_every_other_statement() -> None:
    assert with_common(COMMON, "return two(NOW)") == (
        "local NOW = 5\n"
        "local function one(n) return n + 1 end\n"
        "local function two(n)\n  for i = 1, 2 do\n    n = one(n)\n  end\n  return n\nend\n"
        "return two(NOW)"
    )


def test_a_script_that_uses_nothing_gets_no_function() -> None:
    assert with_common(COMMON, "return NOW") == "local NOW = 5\nreturn NOW"


@pytest.mark.parametrize(
    "name", re.findall(r"^local function (\w+)", (files("cluster.store") / "scripts/_common.lua").read_text(), re.M)
)
def test_no_function_of_the_common_part_is_dead(name: str) -> None:
    assert any(f"local function {name}(" in script.source.decode() for script in SCRIPTS.values())


def test_a_comment_is_no_use() -> None:
    assert with_common(COMMON, "return NOW -- not two(NOW)") == "local NOW = 5\nreturn NOW -- not two(NOW)"
