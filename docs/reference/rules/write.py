"""Writes the pages of this folder from the rules' docstrings: `python docs/reference/rules/write.py`."""

from pathlib import Path

from integrity.report import rule_page
from integrity.rules import RULES

HERE = Path(__file__).parent

for old in HERE.glob("*.md"):
    old.unlink()
for rule in RULES:
    (HERE / rule_page.file_name(rule)).write_text(rule_page.markdown(rule))
(HERE / "README.md").write_text(rule_page.index(RULES))
