"""Programs that play a session in a culture's place: the same task, decisions, pauses and recording."""
