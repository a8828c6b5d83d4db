"""The declarations of the tests of ownership: a library whose loans repeat what books and authors say."""

from typing import Annotated, Any

from integrity import CopyOf, Model, Owner, Ref, Revision, Unique


class Author(Model, collection="authors", owner="archive"):
    id: int
    name: str
    born: int | None = None
    handle: Annotated[str | None, Unique()] = None
    rating: Annotated[int, Owner("critics")] = 0


class Book(Model, collection="books", owner="catalogue"):
    id: int
    title: str
    author_id: Annotated[int | None, Ref(Author, on_delete="set_null")] = None
    author: Annotated[str | None, CopyOf(Author, "name", via="author_id")] = None


class Item(Model):
    book_id: Annotated[int, Ref(Book)]
    title: Annotated[str, CopyOf(Book, "title", via="book_id")]
    note: str | None = None


class Loan(Model, collection="loans", owner="desk"):
    id: int
    items: list[Item] | None = None
    book_id: Annotated[int | None, Ref(Book, on_delete="cascade")] = None
    title: Annotated[str | None, CopyOf(Book, "title", via="book_id")] = None
    author: Annotated[str | None, CopyOf(Book, "author", via="book_id")] = None


class Award(Model, collection="awards", owner="jury"):
    id: int
    handle: Annotated[str, Ref(Author, field="handle", on_update="cascade", on_delete="cascade")]
    winner: Annotated[str, CopyOf(Author, "name", via="handle")]
    born: Annotated[int, CopyOf(Author, "born", via="handle")]
    revision: Annotated[int, Revision()] = 0


MODELS: list[Any] = [Author, Book, Loan, Award]
