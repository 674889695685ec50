"""What a space is declared with, and how declarations are found."""
