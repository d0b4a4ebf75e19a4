"""What scores and results look like to people: tables for the console, JSON for programs."""
