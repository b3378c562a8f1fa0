"""Bytes both ways: CONNECT, Upgrade, SOCKS; datagrams."""
