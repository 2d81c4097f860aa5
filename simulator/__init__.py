"""A brand with known truth: members, guides, stores, goods and their answers to contact."""
