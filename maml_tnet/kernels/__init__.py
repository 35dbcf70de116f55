"""How the method is computed fast. What it computes is written in the modules above."""
