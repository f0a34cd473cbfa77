"""A history asked what the score said before each outcome: replayed by the live kernel, never looking ahead."""
