"""What data generators and programs both ask of the machine; it knows neither."""
