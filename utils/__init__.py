"""The program: what it is told, what it runs, what it reports, what its models predict."""
