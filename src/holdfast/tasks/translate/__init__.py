"""Translation: a sentence of one language in, one of another out."""
