"""Tax: which rates apply to a line, what they come to, and what a credit note takes back."""
