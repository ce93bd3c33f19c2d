-- What Redis gives a script: the global names of its Lua 5.1.
std = "lua51"
read_globals = { "redis", "KEYS", "ARGV" }
max_line_length = 120
