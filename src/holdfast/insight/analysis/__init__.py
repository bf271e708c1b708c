"""What goes on inside a network: its gates, its memory, its gradients, and what moved an answer."""
