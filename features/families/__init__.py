"""One module a family of vector columns; each says its columns and how they come from a member's summary."""
