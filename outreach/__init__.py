"""Predictions, consents and the contact ledger in; out: who to contact today and what it brought in."""
