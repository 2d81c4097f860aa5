"""The plain methods every model is held against, each fitted on the same history and judged on the same rows."""
