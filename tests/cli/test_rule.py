"""`integrity rule` explains every rule."""

import pytest

from integrity.rules import RULES
from tests.cli.conftest import Command


def test_without_a_code_every_rule_is_listed_under_its_family(command: Command) -> None:
    found = command("rule")
    assert found.status == 0
    listed = [line.split()[:2] for line in found.out.splitlines() if line.startswith("  ")]
    assert listed == [[each.code, each.name] for each in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_code_or_a_name_in_any_case_prints_the_page(command: Command, rule: object) -> None:
    code, name = getattr(rule, "code", ""), getattr(rule, "name", "")
    found = command("rule", code.lower())
    assert found.status == 0
    assert found.out.startswith(f"{code} {name}: ")
    assert "\nWhat it finds\n" in found.out
    assert "\nRepair\n" in found.out
    assert command("rule", name).out == found.out


def test_a_code_that_no_rule_has_is_exit_2(command: Command) -> None:
    found = command("rule", "EMP9")
    assert (found.status, found.out) == (2, "")
    assert found.err == "integrity: No rule has the code 'EMP9'; `integrity rule` lists them.\n"
