"""One outside service per file, each behind a port."""
