"""Photographs of the user's: reading, finding faces, aligning, stylising."""
