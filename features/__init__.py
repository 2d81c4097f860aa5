"""Raw tables in, checked; out: member vectors and baskets, each knowing nothing after its `as_of` day."""
