"""The commands of the command line: a module for each, which declares its arguments and runs it."""
