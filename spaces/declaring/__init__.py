"""How spaces are declared, and how declarations are found."""
