"""The data layer: one method a script of lua/, the names of the keys, and the pools kept in line."""
