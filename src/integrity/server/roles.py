"""The MongoDB roles under which each actor can write only the collections that it owns something in.

The server knows collections and no fields: within a collection, whose field it is only the guarded writes say. What
an actor needs besides its own collections follows from the declarations: a change of what it owns is carried on to
the copies of it, a delete to what refers to it.

Source: https://www.mongodb.com/docs/manual/reference/privilege-actions/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import OperationFailure

from integrity.declare.constraint import Owner
from integrity.declare.registry import Copy, Entry, Registry
from integrity.declare.stage import COLLECTION as STAGES
from integrity.errors import DeclarationError, EnforcementError
from integrity.server.confirmed import confirmed
from integrity.store.failure import reason
from integrity.store.port import Document, Store
from integrity.writes.copies.recording import COLLECTION as REFRESHES
from integrity.writes.references.condemned import COLLECTION as CONDEMNED
from integrity.writes.references.notices import COLLECTION as PROTOCOL
from integrity.writes.references.pins import COLLECTION as PINS

READ = ("find", "listIndexes")
INSERT, UPDATE, REMOVE = "insert", "update", "remove"

#: What the protocols need in the library's own collections, and no more.
SIDE: dict[str, tuple[str, ...]] = {
    PINS: ("find", INSERT, UPDATE),
    PROTOCOL: ("find", INSERT, UPDATE),
    CONDEMNED: ("find", INSERT, UPDATE, REMOVE, "createIndex"),
    REFRESHES: ("find", INSERT, UPDATE, REMOVE),
    STAGES: ("find",),
}

#: https://www.mongodb.com/docs/manual/reference/error-codes/
_NO_ROLE, _ROLE_EXISTS, _UNAUTHORIZED = 31, 51002, 13
_ORDER = (*READ, INSERT, UPDATE, REMOVE, "createIndex")


@dataclass
class Role:
    """What one actor may do.

    Args:
        actor: The actor.
        grants: The actions by collection, each with the reasons for it.
    """

    actor: str
    grants: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The role's name."""
        return f"integrity-{self.actor}"

    def grant(self, collection: str, action: str, why: str) -> bool:
        """Allow an action; return whether it was not allowed before."""
        actions = self.grants.setdefault(collection, {})
        fresh = action not in actions
        reasons = actions.setdefault(action, [])
        if why not in reasons:
            reasons.append(why)
        return fresh

    def privileges(self, database: str) -> list[dict[str, Any]]:
        """Return MongoDB's privileges, in one database."""
        return [
            {"resource": {"db": database, "collection": collection}, "actions": _sorted(actions)}
            for collection, actions in self.grants.items()
        ]

    def __str__(self) -> str:
        lines = [f"{self.name}"]
        for collection, actions in self.grants.items():
            reasons = dict.fromkeys(
                why for action in _sorted(actions) if action not in READ for why in actions[action] if why
            )
            lines.append(f"  {collection}: {', '.join(_sorted(actions))}")
            lines += [f"      {why}" for why in reasons]
        return "\n".join(lines)

    def script(self) -> str:
        """Return a command for mongosh that creates the role in the database that it is connected to."""
        privileges = [
            f"    {{resource: {{db: db.getName(), collection: {json.dumps(collection)}}}, "
            f"actions: {json.dumps(_sorted(actions))}}}"
            for collection, actions in self.grants.items()
        ]
        body = ",\n".join(privileges)
        return f"db.createRole({{role: {json.dumps(self.name)}, roles: [], privileges: [\n{body}\n]}})"


def roles(registry: Registry, actor: str | None = None) -> list[Role]:
    """Return the roles of the actors that own something.

    Args:
        registry: All models.
        actor: The one that is asked for; None for all.

    Raises:
        DeclarationError: No declaration names the actor.
    """
    known = sorted(actors(registry))
    if actor is not None and actor not in known:
        listed = ", ".join(known) or "none"
        raise DeclarationError(f"{actor!r} owns nothing in these models; their actors are {listed}.")
    return [_role(registry, each) for each in known if actor is None or each == actor]


def actors(registry: Registry) -> set[str]:
    """Return everybody who owns a model or a field."""
    found = {each for entry in registry for each in entry.owner}
    for entry in registry:
        for place in entry.places:
            if (owner := place.node.marker(Owner)) is not None:
                found.update(owner.actors)
    return found


async def apply(store: Store, wanted: Iterable[Role]) -> list[str]:
    """Create roles in the store's database, or change them to what is wanted; return a line about each.

    Raises:
        EnforcementError: The user may not manage roles, or the server does not take one.
    """
    return [f"{role.name}: {await _applied(store, role)}" for role in wanted]


async def _applied(store: Store, role: Role) -> str:
    document = {"privileges": role.privileges(store.name), "roles": []}
    try:
        if await _taken(store, {"updateRole": role.name, **document}, _NO_ROLE):
            return "changed"
        if await _taken(store, {"createRole": role.name, **document}, _ROLE_EXISTS):
            return "created"
        await confirmed(store, {"updateRole": role.name, **document})  # another process was first
    except OperationFailure as error:
        way_out = f" The user needs the role `userAdmin` on {store.name}." if error.code == _UNAUTHORIZED else ""
        raise EnforcementError(f"{role.name} cannot be created or changed: {reason(error)}{way_out}") from error
    return "changed"


async def _taken(store: Store, command: Document, otherwise: int) -> bool:
    """Run a command; return false where the server answers with this code."""
    try:
        await confirmed(store, command)
    except OperationFailure as error:
        if error.code != otherwise:
            raise
        return False
    return True


def _role(registry: Registry, actor: str) -> Role:
    role = Role(actor)
    for entry in registry:
        for action in READ:
            role.grant(entry.collection, action, "")
    for entry in registry:
        if not entry.owner or actor in entry.owner:
            why = "owns the model" if entry.owner else "nobody owns the model"
            for action in (INSERT, UPDATE, REMOVE):
                role.grant(entry.collection, action, why)
            _deletes(role, entry)
        for place in entry.places:
            owner = place.node.marker(Owner)
            if owner is not None and actor in owner.actors:
                role.grant(entry.collection, UPDATE, f"owns {place.path}")
    _followed(role, registry)
    for collection, actions in SIDE.items():
        for action in actions:
            role.grant(collection, action, "the library's own")
    return role


def _deletes(role: Role, entry: Entry) -> None:
    """Allow what deleting documents of a model, or renaming their keys, does to others."""
    for each in entry.referrers:
        child, ref = each.entry, each.ref
        if ref.on_update == "cascade" and each.field != "_id":
            role.grant(child.collection, UPDATE, f"{each.path} follows a key of {entry.collection}")
        if ref.on_delete == "set_null":
            role.grant(child.collection, UPDATE, f"{each.path} is set to null with {entry.collection}")
        elif ref.on_delete == "cascade":
            why = f"is deleted with {entry.collection}, by {each.path}"
            # Before it is deleted it is condemned, which is a field on it.
            fresh = [role.grant(child.collection, action, why) for action in (UPDATE, REMOVE)]
            if fresh[1]:
                _deletes(role, child)


def _followed(role: Role, registry: Registry) -> None:
    """Allow the refreshing of copies of what the actor may change, and of the copies of those."""
    copies = [copy for entry in registry for copy in entry.copies]
    changed = {id(copy) for copy in copies if _changes(role, copy)}
    while True:
        for copy in copies:
            if id(copy) in changed:
                role.grant(
                    copy.entry.collection, UPDATE, f"{copy.path} follows {copy.via.target.collection}.{copy.field}"
                )
        more = {id(each) for each in copies if any(id(root) in changed for root in _originals(each))} - changed
        if not more:
            return
        changed |= more


def _changes(role: Role, copy: Copy) -> bool:
    """Whether the actor itself may change what is copied: its field, or its model where the field has no owner."""
    entry = copy.via.target
    place = entry.place(copy.field)
    owner = place.node.marker(Owner) if place is not None else None
    if owner is not None:
        return role.actor in owner.actors
    return not entry.owner or role.actor in entry.owner


def _originals(copy: Copy) -> Iterator[Copy]:
    """Yield the copies that this one is a copy of."""
    for each in copy.via.target.copies:
        if ".".join(each.place.steps) == copy.field:
            yield each


def _sorted(actions: Iterable[str]) -> list[str]:
    return sorted(actions, key=_ORDER.index)
