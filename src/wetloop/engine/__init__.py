"""The frame step that blanks, detects, times pulses and guards, and what drives it."""
