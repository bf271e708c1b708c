"""A seventh task, built as CONTRIBUTING says: one tag for each word of a sentence."""
