"""What everything that talks over sockets shares: addresses, keys, waiting, and the messages of remote tasks."""
