"""The contact ledger: what changes between releases (consents, lists, outcomes, tokens, jobs, rules), in SQL."""

from outreach.ledger.ledger import Ledger

__all__ = ["Ledger"]
