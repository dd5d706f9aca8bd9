"""`python -m dbrun` is the command `dbrun`."""

from .cli.main import entry

if __name__ == "__main__":
    entry()
