"""vCenter over pyVmomi: one stream of facts in, a few orders out. No pyVmomi object and no SOAP fault leaves it."""
