"""One module a verb; each offers a click command named `command`."""
