"""What a closed month looks like: on a terminal, as CSV, JSON archive, PDF and electronic invoice. Values in, text or bytes out."""
