"""What the operator costs and how fast it is, measured beside an idiomatic kopf operator on the same machine."""
