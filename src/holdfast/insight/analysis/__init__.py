"""Analyze a network: gates, memory, gradients, attribution and ablation."""
