"""Vendors' equipment without the equipment: the other side of each driver's wire, with a simulated culture in it."""
