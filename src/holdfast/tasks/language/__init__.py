"""Language modelling: which unit of a text comes next."""
