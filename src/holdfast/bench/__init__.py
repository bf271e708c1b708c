"""Speed side by side: Holdfast's layers and those of other libraries, on the same weights, in one run."""
