"""Baskets in; buy-again, new-for-you and mixed lists out: candidates, one ranker, slates, and the shop's rules."""
