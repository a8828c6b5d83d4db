"""The rules, one file each, and the registry of them."""

from __future__ import annotations

from integrity.rules.drift import missing_index, missing_validator, undeclared_collection, unindexed_reference
from integrity.rules.empty import empty_container, empty_string, not_a_number, undeclared_null, white_space
from integrity.rules.forbidden import control_character, forbidden_value, placeholder
from integrity.rules.ownership import (
    changed_immutable,
    foreign_write,
    stale_copy,
    stale_revision,
    unfit_copy,
    wrong_derivation,
)
from integrity.rules.reference import dangling, restricted_delete, restricted_update, wrong_key_type
from integrity.rules.rule import At, Fault, Rule
from integrity.rules.schema import constraint_not_met, missing_field, own_validator, unknown_field, wrong_type
from integrity.rules.unique import duplicate_value

#: Every rule, in the order of the codes.
RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            module.RULE
            for module in (
                empty_string,
                white_space,
                empty_container,
                undeclared_null,
                not_a_number,
                placeholder,
                forbidden_value,
                control_character,
                wrong_type,
                missing_field,
                constraint_not_met,
                unknown_field,
                own_validator,
                dangling,
                wrong_key_type,
                restricted_delete,
                restricted_update,
                duplicate_value,
                stale_copy,
                wrong_derivation,
                foreign_write,
                changed_immutable,
                stale_revision,
                unfit_copy,
                missing_index,
                missing_validator,
                unindexed_reference,
                undeclared_collection,
            )
        ),
        key=lambda rule: rule.code,
    )
)

#: The rules by code.
BY_CODE = {rule.code: rule for rule in RULES}

__all__ = ["BY_CODE", "RULES", "At", "Fault", "Rule"]
