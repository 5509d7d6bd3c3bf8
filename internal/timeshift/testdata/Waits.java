import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.*;
import java.util.concurrent.locks.*;

/** Every way in which a Java program waits for some time, each in a thread of its own; see waits.c. */
public class Waits {
    interface Wait {
        void run(long millis) throws Exception;
    }

    record Way(String name, Wait way) {}

    static final Object monitor = new Object();

    static void expect(boolean ok) {
        if (!ok) {
            throw new AssertionError();
        }
    }

    static void parkUntil(long millis) {
        long until = System.currentTimeMillis() + millis;
        while (System.currentTimeMillis() < until) {
            LockSupport.parkUntil(until);
        }
    }

    static void parkNanos(long millis) {
        long until = System.nanoTime() + millis * 1_000_000;
        for (long left; (left = until - System.nanoTime()) > 0; ) {
            LockSupport.parkNanos(left);
        }
    }

    static void objectWait(long millis) throws Exception {
        synchronized (monitor) {
            monitor.wait(millis);
        }
    }

    static void condition(long millis) throws Exception {
        Lock lock = new ReentrantLock();
        lock.lock();
        expect(!lock.newCondition().await(millis, TimeUnit.MILLISECONDS));
    }

    static void scheduled(long millis) throws Exception {
        ScheduledExecutorService s = Executors.newScheduledThreadPool(1);
        s.schedule(() -> {}, millis, TimeUnit.MILLISECONDS).get();
        s.shutdown();
    }

    static void timer(long millis) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        java.util.Timer t = new java.util.Timer();
        t.schedule(new java.util.TimerTask() { public void run() { done.countDown(); } }, millis);
        done.await();
        t.cancel();
    }

    static void orTimeout(long millis) throws Exception {
        try {
            new CompletableFuture<Void>().orTimeout(millis, TimeUnit.MILLISECONDS).get();
            expect(false);
        } catch (ExecutionException e) {
            expect(e.getCause() instanceof TimeoutException);
        }
    }

    static void socket(long millis) throws Exception {
        try (var server = new java.net.ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
            server.setSoTimeout((int) millis);
            server.accept();
            expect(false);
        } catch (java.net.SocketTimeoutException e) {
        }
    }

    static final Way[] ways = {
        new Way("Thread.sleep", Thread::sleep),
        new Way("Object.wait", Waits::objectWait),
        new Way("LockSupport.parkUntil", Waits::parkUntil),
        new Way("LockSupport.parkNanos", Waits::parkNanos),
        new Way("Condition.await", Waits::condition),
        new Way("ScheduledExecutorService", Waits::scheduled),
        new Way("Timer", Waits::timer),
        new Way("CompletableFuture.orTimeout", Waits::orTimeout),
        new Way("CountDownLatch.await", ms -> expect(!new CountDownLatch(1).await(ms, TimeUnit.MILLISECONDS))),
        new Way("BlockingQueue.poll", ms -> expect(new LinkedBlockingQueue<Integer>().poll(ms, TimeUnit.MILLISECONDS) == null)),
        new Way("ServerSocket.setSoTimeout", Waits::socket),
    };

    static String time() {
        Instant now = Instant.now();
        return String.format("%d.%09d %.9f", now.getEpochSecond(), now.getNano(), System.nanoTime() / 1e9);
    }

    public static void main(String[] args) throws Exception {
        long first = Long.parseLong(args[0]) * 1000;
        time(); // what it needs is loaded
        System.out.printf("begin %d %.9f%n", System.currentTimeMillis() / 1000, System.nanoTime() / 1e9);
        for (int i = 0; i < ways.length; i++) {
            Way way = ways[i];
            long millis = first + 60_000L * i;
            new Thread(() -> {
                try {
                    way.way().run(millis);
                } catch (Throwable e) {
                    System.err.println(way.name() + ": " + e);
                    Runtime.getRuntime().halt(1);
                }
                System.out.println(way.name() + " " + time());
            }).start();
        }
    }
}
