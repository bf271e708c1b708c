"""Probes of memory: tasks whose answer stood many steps before, learnt by several cells side by side."""
