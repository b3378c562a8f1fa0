"""Sockets below HTTP: addresses, names, dialling, TLS, the PROXY protocol."""
