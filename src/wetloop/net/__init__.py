"""What everything that talks over sockets shares: addresses, keys, and the messages of programs that are tasks."""
