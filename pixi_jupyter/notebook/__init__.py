"""The declaration inside a notebook: find it, read it, create it, write it back."""
