"""For authors of drivers: a culture on the bench, wires that go wrong, and the contract that every driver keeps."""
