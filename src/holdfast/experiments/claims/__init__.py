"""The textbook claims about LSTM and GRU, tested on pairs of runs."""
