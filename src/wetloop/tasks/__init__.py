"""What the culture plays: Gymnasium environments, and the runner that holds and resets them."""
