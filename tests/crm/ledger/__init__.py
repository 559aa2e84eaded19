"""What costs money beside servers."""
