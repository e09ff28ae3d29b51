"""From a client's wish to writes of the store: validated, completed, refused by name. Pure."""
