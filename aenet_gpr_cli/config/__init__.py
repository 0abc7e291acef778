"""One typed model per stage; the only place with defaults."""
