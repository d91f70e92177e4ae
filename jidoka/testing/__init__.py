"""Stand-ins for tests of programs that use jidoka, and of jidoka itself."""
