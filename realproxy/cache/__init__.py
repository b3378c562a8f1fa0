"""The cache: stored responses, and the collapsing of requests for the same response.

`policies.http_cache` decides what may be stored and reused (RFC 9111); this package does it.

Read `store` and `entry` first: look-up, storing and invalidation. `writer` passes a response to the store
while it arrives. `entry_headers` and `cache_status` write header fields. `purge` names what is dropped, and
remembers it.

Options. Collapsing: `collapse` lets one request fetch for several, `shared_response` is the response while
it arrives, and `fanout` sends it to the clients that wait; the core only knows `shared_fetch`. The disk
tier: `disk_tier`, `disk_store`, `disk_entry`. Parts of responses: `partial`.

Owners. A `CacheStore` has one lock; its entries never change. A `CacheWriter` belongs to the thread that
fetches. The fan-out thread owns the clients that wait for a fetch. One thread writes the files of the disk
tier.
"""
