"""The data layer: one method for each script of lua/, the names of the keys, and keeping the pools in line."""
