"""A MongoDB of one's own: it starts on a free port, has transactions, and leaves nothing behind."""

from pymongo import MongoClient

from integrity.embedded import Mongod


def main() -> None:
    with Mongod() as server, MongoClient[dict[str, object]](server.uri) as client:
        accounts = client.bank.accounts
        accounts.insert_many([{"_id": "ada", "balance": 50}, {"_id": "bob", "balance": 0}])
        with client.start_session() as session, session.start_transaction():
            accounts.update_one({"_id": "ada"}, {"$inc": {"balance": -20}}, session=session)
            accounts.update_one({"_id": "bob"}, {"$inc": {"balance": 20}}, session=session)
        print(server)
        for account in accounts.find():
            print(account)


if __name__ == "__main__":
    main()
