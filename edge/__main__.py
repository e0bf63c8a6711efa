"""`python -m edge`."""

from edge.entry import main

if __name__ == "__main__":
    main()
