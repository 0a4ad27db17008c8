"""`meter-agent doctor`: finds the most likely mistakes and says what to do about each."""
