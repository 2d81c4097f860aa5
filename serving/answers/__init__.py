"""A worker's state and a question in, plain data out: what the routes, the pages and the bulk calls answer."""
