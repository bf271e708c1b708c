"""Speed of Holdfast's layers and of other libraries, on the same weights in one run."""
