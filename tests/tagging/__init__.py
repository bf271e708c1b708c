"""A seventh task, built as CONTRIBUTING says: sequence tagging, one tag for each word of a sentence."""
