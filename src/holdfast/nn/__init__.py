"""Recurrent layers and what they are made of: everything that a PyTorch user imports."""
