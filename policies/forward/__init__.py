"""What a forward proxy decides.

Who may use it, which hosts are blocked, what an origin learns, and which parent is asked.
"""
