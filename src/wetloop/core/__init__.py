"""The vocabulary that all parts share: values, protocols, errors, the clock and the stimulation guard's limits."""
