"""What redis-py does with caches, each operation once, logged in by redis-entraid."""

import json
import sys
import time

import redis
from redis_entraid.cred_provider import create_from_default_azure_credential


def client(host, port, **options):
    provider = create_from_default_azure_credential(("https://redis.azure.com/.default",))
    return redis.Redis(
        host=host, port=port, ssl=True, credential_provider=provider, decode_responses=True, max_connections=1, **options
    )


cache = client("orders.redis.cache.windows.net", 6380)


def set():
    assert cache.set("py:text", "two loaves")
    assert cache.get("py:text") == "two loaves"
    assert cache.get("py:none") is None


def expire():
    cache.set("py:expires", "soon", ex=3600)
    assert 3000 < cache.ttl("py:expires") <= 3600


def collections():
    cache.hset("py:hash", mapping={"a": "1", "b": "2"})
    assert cache.hgetall("py:hash") == {"a": "1", "b": "2"}
    cache.rpush("py:list", "x", "y")
    assert cache.lrange("py:list", 0, -1) == ["x", "y"]
    cache.zadd("py:set", {"late": 2, "early": 1})
    assert cache.zrange("py:set", 0, -1) == ["early", "late"]


def pipeline():
    with cache.pipeline(transaction=False) as p:
        for _ in range(100):
            p.incr("py:count")
        assert p.execute()[99] == 100


def transaction():
    with cache.pipeline() as p:
        p.watch("py:a")
        p.multi()
        p.set("py:a", "1")
        p.incr("py:a")
        assert p.execute() == [True, 2]


def script():
    found = cache.register_script("return redis.call('GET', KEYS[1]) .. ARGV[1]")(keys=["py:text"], args=["!"])
    assert found == "two loaves!", found


def subscribe():
    # A connection of its own; in RESP3, the default of redis-py.
    reader = client("orders.redis.cache.windows.net", 6380)
    with reader.pubsub() as news:
        news.subscribe("py:news")
        assert news.get_message(timeout=30)["type"] == "subscribe"
        cache.publish("py:news", "hello")
        assert news.get_message(timeout=30)["data"] == "hello"


def reauthenticate():
    """Has the provider hand a token to the connection that there is, as it does when it gets a new one."""
    cache.client_setname("first")
    provider = cache.connection_pool.connection_kwargs["credential_provider"]
    token = provider._token_mgr.acquire_token(force_refresh=True).get_token()
    provider._listener.on_next(token)
    assert cache.client_getname() == "first"


def managed():
    cache = client("orders.norwayeast.redis.azure.net", 10000, protocol=2)
    cache.set("py:managed", "yes")
    assert cache.get("py:managed") == "yes"


def denied():
    reports = client("reports.redis.cache.windows.net", 6380)
    assert reports.get("py:text") is None
    try:
        reports.set("py:text", "x")
    except redis.exceptions.NoPermissionError as error:
        assert "has no permissions to run the 'set' command" in str(error), error
        return
    raise AssertionError("expected NOPERM, found no error")


def watch(every):
    """Uses the cache every so often, on one connection."""
    cache.client_setname("first")
    while True:
        line = {"ok": True}
        try:
            line["connection"] = cache.client_getname()
            set()
        except Exception as error:
            line = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(line), flush=True)
        time.sleep(every)


if len(sys.argv) > 2 and sys.argv[1] == "watch":
    watch(float(sys.argv[2]))
for operation in [set, expire, collections, pipeline, transaction, script, subscribe, reauthenticate, managed, denied]:
    try:
        operation()
    except Exception as error:
        print(operation.__name__, "failed", type(error).__name__, " ".join(str(error).split()), flush=True)
        sys.exit(1)
    print(operation.__name__, "ok", flush=True)
print("round done", flush=True)
sys.stdin.read()
