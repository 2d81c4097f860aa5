"""`python -m huitou` is the command line."""

from huitou.cli import main

main()
