"""What costs money beside servers: whose it is, what it cost in which month, what a client leaves after all of it."""
