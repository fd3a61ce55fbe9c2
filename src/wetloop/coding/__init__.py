"""From task to stimulation and from spikes to action: encoders, decoders and feedback rules."""
