"""Questions of changes: frozen answers, no writes."""
