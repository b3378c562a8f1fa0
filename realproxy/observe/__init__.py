"""What operators see: the access log, metrics, and the admin port.

Reading order: `metrics` (counts, kept while requests are served), `log_format` and `access_log` (a
line for each request), `admin_server` (a small HTTP server), `admin_pages` (its pages), `prometheus`
and `sum_stats` (two views of `Proxy.stats`).

Owners. Each thread that serves requests writes its own `Metrics`; others read copies. The log thread
owns the file of an `AccessLog`. The admin port has its own threads, one for each open connection.
"""
