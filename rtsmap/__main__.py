"""`python -m rtsmap`, which `torchrun -m rtsmap` needs."""

from rtsmap.cli import main

if __name__ == "__main__":
    main()
