"""What to do: pure decisions, one file per promise. No I/O, no clock, no framework."""
