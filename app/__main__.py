"""`python -m app …`: the command line of the exchange."""

from app.cli import main

if __name__ == "__main__":
    main()
