"""Real servers for tests: started here, on free ports of this machine, and gone with the test run."""
