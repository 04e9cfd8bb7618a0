"""Commands: the body of each command of `deqir`."""
