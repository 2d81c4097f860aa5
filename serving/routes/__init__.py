"""The REST app's routes, a module a subject; an endpoint is a few lines that call `serving.answers` or the ledger."""
