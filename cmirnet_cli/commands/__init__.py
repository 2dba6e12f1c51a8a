"""One file per subcommand: convert the options, call the room that does the work, emit the result."""
