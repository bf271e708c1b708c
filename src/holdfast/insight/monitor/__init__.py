"""Monitor training, and warn of problems as they occur."""
