"""When to look: store, queue, agenda, lease and the loop of passes. Knows no contract."""
