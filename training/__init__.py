"""Vectors and what happened next in; out: fitted, judged, tracked models and a release."""
