"""What a reverse proxy decides.

Which route takes a request, who the client behind trusted proxies is, which trace a request belongs
to, and which faults strike it.
"""
