"""From a quantity to an exact amount, with the steps that explain it."""
