"""Text: files, tokenizers, word vectors and parallel sentences."""
