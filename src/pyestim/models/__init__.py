"""Models: what a row leaves behind, and how that becomes better parameters."""
