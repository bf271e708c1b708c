"""The commands of holdfast, one file each."""
