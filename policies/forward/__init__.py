"""The decisions of a forward proxy, without I/O.

A request meets the files in this order: `policies.basic_auth` (is the user known?), `blocking` (may this host
be reached?), `anonymity` (what does the origin learn from the header fields?), `parent` (the address
of the next proxy, if there is one). `policies.settings.forward` holds the settings for all of them.
"""
