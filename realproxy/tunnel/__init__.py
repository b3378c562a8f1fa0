"""Bytes in both directions: tunnels of CONNECT, Upgrade, SOCKS and raw TCP; datagrams of UDP ASSOCIATE.

Read `relay` first: one thread with an epoll set moves the bytes of all tunnels. `udp_associate` uses the
same thread for SOCKS5 datagrams (RFC 1928, 7). No tunnel and no association occupies a thread.

Owners. The relay thread owns both sockets from `TunnelRelay.add` or `UdpAssociation.start` until the end,
when it closes the sockets of the target, gives the client's connection back, and logs the record.
"""
