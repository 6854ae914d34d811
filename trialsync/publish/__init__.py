"""Values to text, for each medium. Pure."""
