"""What an HTTP cache decides, without I/O: RFC 9111 and its neighbours.

May an answer be stored, for how long is it fresh, and may it be sent to a request?
"""
