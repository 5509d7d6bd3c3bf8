import com.azure.identity.DefaultAzureCredentialBuilder;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import redis.clients.authentication.core.TokenAuthConfig;
import redis.clients.authentication.entraid.AzureTokenAuthConfigBuilder;
import redis.clients.jedis.ConnectionPoolConfig;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisPubSub;
import redis.clients.jedis.Protocol;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.authentication.AuthXManager;
import redis.clients.jedis.exceptions.JedisAccessControlException;
import redis.clients.jedis.util.SafeEncoder;

/** What Jedis does with caches, each operation once, logged in by redis-authx-entraid. */
public class Caches {
    static AuthXManager tokens;
    static RedisClient cache;

    public static void main(String[] args) throws Exception {
        if (args.length > 1 && args[0].equals("watch")) {
            watch(Duration.ofSeconds(Long.parseLong(args[1])));
        }
        Operations.run("connect", () -> cache = open("orders.redis.cache.windows.net", 6380));
        Operations.run("set", Caches::set);
        Operations.run("expire", Caches::expire);
        Operations.run("collections", Caches::collections);
        Operations.run("pipeline", Caches::pipeline);
        Operations.run("transaction", Caches::transaction);
        Operations.run("script", Caches::script);
        Operations.run("subscribe", Caches::subscribe);
        Operations.run("managed", Caches::managed);
        Operations.run("denied", Caches::denied);
        Operations.done();
    }

    /** A client with a pool of one connection, which logs in again when there is a new token. */
    static RedisClient open(String host, int port) {
        if (tokens == null) {
            TokenAuthConfig config = AzureTokenAuthConfigBuilder.builder()
                .defaultAzureCredential(new DefaultAzureCredentialBuilder().build())
                .tokenRequestExecTimeoutInMs(60_000)
                .build();
            tokens = new AuthXManager(config);
            tokens.start();
        }
        var pool = new ConnectionPoolConfig();
        pool.setMaxTotal(1);
        pool.setMinEvictableIdleDuration(Duration.ofMillis(-1)); // a connection stays that is idle for a minute
        var config = DefaultJedisClientConfig.builder().ssl(true).authXManager(tokens).timeoutMillis(60_000).build();
        return RedisClient.builder().hostAndPort(new HostAndPort(host, port)).clientConfig(config).poolConfig(pool).build();
    }

    static void set() {
        cache.set("java:text", "two loaves");
        Operations.want("two loaves".equals(cache.get("java:text")), cache.get("java:text"));
        Operations.want(cache.get("java:none") == null, cache.get("java:none"));
    }

    static void expire() {
        cache.setex("java:expires", 3600, "soon");
        var left = cache.ttl("java:expires");
        Operations.want(left > 3000 && left <= 3600, left);
    }

    static void collections() {
        cache.hset("java:hash", Map.of("a", "1", "b", "2"));
        Operations.want(cache.hgetAll("java:hash").equals(Map.of("a", "1", "b", "2")), cache.hgetAll("java:hash"));
        cache.rpush("java:list", "x", "y");
        Operations.want(cache.lrange("java:list", 0, -1).equals(List.of("x", "y")), cache.lrange("java:list", 0, -1));
        cache.zadd("java:set", Map.of("late", 2.0, "early", 1.0));
        Operations.want(cache.zrange("java:set", 0, -1).equals(List.of("early", "late")), cache.zrange("java:set", 0, -1));
    }

    static void pipeline() {
        try (var pipeline = cache.pipelined()) {
            Response<Long> count = null;
            for (var i = 0; i < 100; i++) {
                count = pipeline.incr("java:count");
            }
            pipeline.sync();
            Operations.want(count.get() == 100, count.get());
        }
    }

    static void transaction() {
        try (var transaction = cache.multi()) {
            transaction.set("java:a", "1");
            transaction.incr("java:a");
            var done = transaction.exec();
            Operations.want(done.equals(List.of("OK", 2L)), done);
        }
    }

    static void script() {
        var found = cache.eval("return redis.call('GET', KEYS[1]) .. ARGV[1]", List.of("java:text"), List.of("!"));
        Operations.want("two loaves!".equals(found), found);
    }

    static void subscribe() throws Exception {
        var subscribed = new CompletableFuture<Void>();
        var message = new CompletableFuture<String>();
        var reader = new JedisPubSub() {
            @Override
            public void onSubscribe(String channel, int channels) {
                subscribed.complete(null);
            }

            @Override
            public void onMessage(String channel, String text) {
                message.complete(text);
                unsubscribe();
            }
        };
        var other = open("orders.redis.cache.windows.net", 6380);
        var thread = new Thread(() -> other.subscribe(reader, "java:news"));
        thread.setDaemon(true);
        thread.start();
        subscribed.get(60, TimeUnit.SECONDS);
        cache.publish("java:news", "hello");
        Operations.want(message.get(60, TimeUnit.SECONDS).equals("hello"), message);
    }

    static void managed() {
        try (var managed = open("orders.norwayeast.redis.azure.net", 10000)) {
            managed.set("java:managed", "yes");
            Operations.want("yes".equals(managed.get("java:managed")), "another text");
        }
    }

    static void denied() {
        try (var reports = open("reports.redis.cache.windows.net", 6380)) {
            Operations.want(reports.get("java:text") == null, "a text");
            var found = "no error";
            try {
                reports.set("java:text", "x");
            } catch (JedisAccessControlException e) {
                found = e.getMessage();
            }
            Operations.want(found.startsWith("NOPERM"), found);
        }
    }

    /** Uses the cache every so often, on one connection. */
    static void watch(Duration every) throws Exception {
        cache = open("orders.redis.cache.windows.net", 6380);
        cache.sendCommand(Protocol.Command.CLIENT, "SETNAME", "first");
        for (;;) {
            try {
                var name = (byte[]) cache.sendCommand(Protocol.Command.CLIENT, "GETNAME");
                set();
                System.out.println("{\"ok\":true,\"connection\":\"" + (name == null ? "" : SafeEncoder.encode(name)) + "\"}");
            } catch (Exception e) {
                System.out.println("{\"ok\":false,\"error\":\"" + String.valueOf(e).replaceAll("[\\s\"\\\\]+", " ") + "\"}");
            }
            Thread.sleep(every.toMillis());
        }
    }
}
