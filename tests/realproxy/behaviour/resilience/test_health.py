"""Ejection and health checks: upstreams that fail are left alone until they are well again."""

import threading

from policies.settings import Health, Limits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"


def upstreams(proxy):
    return proxy.stats()["upstreams"]["web"]


def test_an_upstream_that_keeps_failing_is_ejected_and_let_in_again(later, origin, service, wire):
    answers = {"bad": UNAVAILABLE}
    bad, good = origin(lambda _: answers["bad"]), origin()
    proxy = service(bad, good, eject={"errors": 2, "for": "30s"})
    client = wire(proxy)
    statuses = [client.ask().status for _ in range(12)]
    assert statuses.count(503) == 2
    assert upstreams(proxy)[0]["ejected"] == 1
    assert (upstreams(proxy)[0]["failures"], len(bad.asked)) == (2, 2)
    answers["bad"] = OK
    later(9.0)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert len(bad.asked) == 2
    later(21.0)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert len(bad.asked) > 2
    assert upstreams(proxy)[0]["ejected"] == 0


class Healthy:
    """A script that answers probes as it is told, and everything else with 200."""

    def __init__(self):
        self.well = True
        self.probes = []

    def __call__(self, asked):
        if asked.target == "/up":
            self.probes.append(asked["User-Agent"])
            return OK if self.well else UNAVAILABLE
        return OK


def test_probes_take_an_upstream_out_and_in_again(origin, service, wire, until):
    scripts = [Healthy(), Healthy()]
    servers = [origin(script) for script in scripts]
    proxy = service(*servers, health={"path": "/up", "every": "200ms", "rise": 2, "fall": 2})
    client = wire(proxy)
    scripts[0].well = False
    until(lambda: upstreams(proxy)[0]["unhealthy"])
    before = len([asked for asked in servers[0].asked if asked.target == "/"])
    for _ in range(6):
        client.ask()
    assert len([asked for asked in servers[0].asked if asked.target == "/"]) == before
    scripts[0].well = True
    until(lambda: not upstreams(proxy)[0]["unhealthy"])
    assert set(scripts[0].probes) == {"proxytwin-health"}


def test_when_all_are_unhealthy_all_are_asked_all_the_same(origin, service, wire, until):
    scripts = [Healthy(), Healthy()]
    servers = [origin(script) for script in scripts]
    proxy = service(*servers, health={"path": "/up", "every": "20ms", "fall": 1})
    for script in scripts:
        script.well = False
    until(lambda: all(upstream["unhealthy"] for upstream in upstreams(proxy)))
    client = wire(proxy)
    assert [client.ask().status for _ in range(4)] == [200] * 4
    assert all(any(asked.target == "/" for asked in server.asked) for server in servers)


def test_who_refuses_says_nothing_or_talks_nonsense_is_unhealthy(origin, service, wire, until, dead):
    silent = origin(lambda asked: asked.reader.read(1))
    nonsense = origin(lambda _: b"garbage\r\n\r\n")
    proxy = service(dead, silent, nonsense, origin(), health={"every": "1s", "fall": 1})
    until(lambda: [upstream["unhealthy"] for upstream in upstreams(proxy)] == [1, 1, 1, 0])
    assert [wire(proxy).ask().status for _ in range(3)] == [200] * 3


def test_another_configuration_checks_what_it_says_and_a_stop_leaves_no_thread(origin, service, wire, until):
    script = Healthy()
    server = origin(script)
    proxy = service(server, health={"path": "/nowhere", "every": "20ms"})
    until(lambda: server.asked)
    changed = proxy.settings.service["web"].model_copy(update={"health": Health(path="/up", every="20ms")})
    proxy.reload(proxy.settings.model_copy(update={"service": {"web": changed}}))
    until(lambda: len(script.probes) >= 5)
    before = len(server.asked)
    until(lambda: len(script.probes) >= 15)
    assert {asked.target for asked in server.asked[before:]} == {"/up"}
    assert sum(thread.name == "proxy-relay" for thread in threading.enumerate()) == 1
    proxy.stop()
    assert not any(thread.name == "proxy-relay" for thread in threading.enumerate())


def test_a_reload_cancels_probes_under_way_and_they_count_for_nothing(origin, service):
    begun, ended = threading.Event(), threading.Event()

    def silent(asked):
        begun.set()
        asked.reader.read(1)
        ended.set()

    proxy = service(origin(silent), health={"every": "2s", "fall": 1})
    assert begun.wait(30)
    proxy.reload(proxy.settings.model_copy(update={"limits": Limits(drain="1s", idle_timeout="50s")}))
    assert ended.wait(30)
    assert not upstreams(proxy)[0]["unhealthy"]
