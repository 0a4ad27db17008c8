"""What a usage event means: its canonical content and the meters that it feeds."""
