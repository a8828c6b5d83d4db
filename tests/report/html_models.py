"""The models of the report that is looked at in a browser."""

from typing import Annotated, Any

from bson import ObjectId

from integrity import CopyOf, Model, Ref


class Owner(Model, collection="owners"):
    id: ObjectId
    name: str


class Thing(Model, collection="things"):
    id: Any
    owner_id: Annotated[ObjectId, Ref(Owner)]
    owner: Annotated[str, CopyOf(Owner, "name", via="owner_id")]
    tags: list[str]
