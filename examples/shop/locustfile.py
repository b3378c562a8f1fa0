"""The customers of the shop: each opens a page, looks at it, and opens the next one.

``python -m examples.shop`` starts Locust with this file. By hand, with Locust's own page:
``locust -f examples/shop/locustfile.py --host URL``.
"""

from __future__ import annotations

import random

from locust import HttpUser, between, task


class Customer(HttpUser):
    """One customer."""

    wait_time = between(0.2, 0.8)

    @task
    def open_page(self) -> None:
        """Ask the front, through the door."""
        self.client.get(f"/pages/{random.randrange(1000)}", name="/pages/[customer]")
