"""`python -m cmirnet_cli` is `cmirnet`."""

from cmirnet_cli.app import main

if __name__ == "__main__":
    main()
