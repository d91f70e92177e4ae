"""Words and decisions, pure: no event loop, no threads, no files, no clock."""
