"""What a type checker sees of the guarded collections; `test_reveals` compares it with the words beside each line."""

from typing import Annotated, Any, reveal_type

from pymongo import MongoClient

import integrity
from integrity import Model, Unique


class Order(Model, collection="orders"):
    id: int
    email: Annotated[str, Unique()]


class Customer(Model, collection="customers"):
    id: int


def blocking(client: MongoClient[dict[str, Any]]) -> None:
    db = integrity.Database(client["shop"], models=[Order, Customer])
    orders = db[Order]
    reveal_type(orders)  # Collection[Order]
    reveal_type(db[Customer])  # Collection[Customer]
    reveal_type(orders.insert_one({"_id": 1, "email": "a@b.c"}))  # InsertOneResult
    reveal_type(orders.insert_one(Order(id=1, email="a@b.c")))  # InsertOneResult
    reveal_type(orders.insert_many([Order(id=1, email="a@b.c")]))  # InsertManyResult
    reveal_type(orders.find_one({"_id": 1}))  # dict[str, Any] | None
    reveal_type(orders.find_one({"_id": 1}, as_model=True))  # Order | None
    reveal_type(orders.find())  # Cursor[dict[str, Any]]
    reveal_type(orders.find(as_model=True).sort("email").limit(5))  # Cursor[Order]
    reveal_type(orders.find(as_model=True).to_list())  # list[Order]
    reveal_type([each.email for each in orders.find(as_model=True)])  # list[str]
    reveal_type(orders.aggregate([]))  # CommandCursor[dict[str, Any]]
    reveal_type(orders.update_one({}, {"$set": {"email": "x"}}))  # UpdateResult
    reveal_type(orders.replace_one({}, Order(id=1, email="x")))  # UpdateResult
    reveal_type(orders.find_one_and_update({}, {"$set": {"email": "x"}}))  # dict[str, Any] | None
    reveal_type(orders.find_one_and_update({}, {"$set": {"email": "x"}}, as_model=True))  # Order | None
    reveal_type(orders.find_one_and_delete({}, as_model=True))  # Order | None
    reveal_type(orders.delete_many({}))  # DeleteResult
    reveal_type(orders.bulk_write([]))  # BulkWriteResult
    reveal_type(orders.by(email="x"))  # dict[str, Any]
    reveal_type(orders.count_documents({}))  # int
    with db.transaction() as tx:
        reveal_type(tx)  # Transaction
    reveal_type(db.with_transaction(lambda tx: tx.session is None))  # bool
    orders.insert_one(Customer(id=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # another model


async def asynchronous(client: Any) -> None:
    db = await integrity.aio.connect("mongodb://localhost", models=[Order])
    reveal_type(db)  # Database
    orders = db[Order]
    reveal_type(orders)  # AsyncCollection[Order]
    reveal_type(await orders.insert_one({"_id": 1}))  # InsertOneResult
    reveal_type(await orders.find_one({}, as_model=True))  # Order | None
    reveal_type(orders.find(as_model=True))  # AsyncCursor[Order]
    reveal_type([each.email async for each in orders.find(as_model=True)])  # list[str]
    reveal_type(await orders.find().to_list())  # list[dict[str, Any]]
    async with db.transaction() as tx:
        reveal_type(tx)  # AsyncTransaction
    orders.insert_one({"_id": 1})  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
