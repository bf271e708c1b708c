"""Networks of the applications, one file each: torch modules made of the layers."""
