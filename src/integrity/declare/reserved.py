"""The one name that the library may put into a user's document, and only while its delete is under way."""

from __future__ import annotations

#: Stands on a document from the moment that its delete begins until it is gone or the delete was refused. See
#: docs/explanation/references.md. Reads as a model and audits pass over it; no model can declare it.
CONDEMNED = "_condemned"
