//! The whole, from outside: see `tests/`. `api` is HTTP, `live` the socket, `days` the bad days, `browser` what a
//! person sees.
