"""The decisions of a shared HTTP cache, without I/O: RFC 9111 and its neighbours.

A request meets the files in this order. `freshness` reads what the request allows, and later whether
its response may be stored and how long it is fresh; `directives`, `dates` and `lifetime` read the fields
for it, and `statuses` and `causes` say whether the response is everybody's. `vary` selects among the
stored responses of a URI, `reuse` decides whether the selected one may be sent, `validation` and `ranges`
answer conditional and range requests, and `stored_fields` says which fields fit them. `partial` handles
stored parts, `invalidation` and `groups` name what a change makes invalid. `collapsing` lets requests for
one object share one fetch, `index` is the store itself, and `explain` puts the decisions into words.

Header fields come as a function from a name in lower case to a value or None (`directives.Header`).
"""
