"""What recordings show: films and figures."""
