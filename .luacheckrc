-- What Redis gives a script: the global names of its Lua 5.1; include is cticache/data/scripts.py's.
std = "lua51"
read_globals = { "redis", "KEYS", "ARGV", "include" }
max_line_length = 120
