"""What is said of LSTM and GRU, tested in pairs of runs."""
