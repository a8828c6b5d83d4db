"""The demonstration's shop: its declarations, a generator of its documents, planted faults, refused writes.

Nothing here is random: two runs make the same documents.
"""
