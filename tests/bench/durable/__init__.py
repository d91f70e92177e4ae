"""The durable rows: the same work for every library that keeps sessions on a disk."""
