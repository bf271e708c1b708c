"""Decoding: sampling, beam search, CTC, n-grams and language model fusion."""
