"""Looks at sessions from a process of its own, while they run or afterwards, without disturbing them."""
