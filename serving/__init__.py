"""A release in; answers over HTTP out."""
