"""What there is to update in a guest (clauses 3.2, 3.3 and 5.1), read from a report that a fixed script wrote there."""
