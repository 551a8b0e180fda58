"""What may be said: the kinds as pydantic models, one file each, and the CRDs generated from them. No I/O."""
