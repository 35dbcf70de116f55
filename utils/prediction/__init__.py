"""A trained model outside its run: exported, found again, asked about images."""
