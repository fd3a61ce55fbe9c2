"""The simulated culture: a spiking network under an electrode array, and the rig that wraps it."""
