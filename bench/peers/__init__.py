"""The operators that ours is measured against."""
