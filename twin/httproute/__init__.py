"""HTTPRoute, Kubernetes' own language for routes, compiled to a proxy's file.

Start with `compiler`: files in, settings out. `documents` reads YAML and says where a mistake is; `matches`
turns conditions into those of a route, and orders them as Gateway API's precedence demands, so that the first
match in our file is the most specific one; `filters` turns filters into what a route changes; `backends`
names the services; `toml` writes the file. "HTTPRoute" in `sigs.k8s.io/gateway-api`, version v1.

Nothing that cannot be obeyed is dropped: it is an error with the file, the key and the reason.
"""

from twin.httproute.compiler import compile_routes
from twin.httproute.toml import to_toml

__all__ = ["compile_routes", "to_toml"]
