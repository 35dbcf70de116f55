"""What the program is told: flags, recipes, and the checked records that they become."""
