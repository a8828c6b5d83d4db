"""Finding the suspects here, in documents that are fetched as they are stored and not decoded.

The server finds them without sending a document, and looks for each field by its name, from the document's beginning:
once for each thing that is asked. Where documents come quicker than it answers, they are looked through here by
columns: a field of thousands of documents at a time.
"""
