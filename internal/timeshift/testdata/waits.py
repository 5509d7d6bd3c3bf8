# Every way in which a Python program waits for some time, each in a thread of its
# own; see waits.c.
import asyncio, concurrent.futures, os, queue, select, signal, socket, subprocess, sys, threading, time

first = int(sys.argv[1])
r, w = os.pipe()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])


def expect(ok):
    if not ok:
        raise AssertionError


def condition(s):
    c = threading.Condition()
    with c:
        expect(not c.wait(s))


def queued(s):
    try:
        queue.Queue().get(timeout=s)
        expect(False)
    except queue.Empty:
        pass


def future(s):
    try:
        concurrent.futures.Future().result(timeout=s)
        expect(False)
    except concurrent.futures.TimeoutError:
        pass


def epoll(s):
    e = select.epoll()
    e.register(r, select.EPOLLIN)
    expect(e.poll(s) == [])


def poll(s):
    p = select.poll()
    p.register(r, select.POLLIN)
    expect(p.poll(s * 1000) == [])


def timer(s):
    done = threading.Event()
    threading.Timer(s, done.set).start()
    done.wait()


def listener(s):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.settimeout(s)
    try:
        server.listen()
        server.accept()
        expect(False)
    except TimeoutError:
        pass


async def wait_for(s):
    try:
        await asyncio.wait_for(asyncio.Event().wait(), s)
        expect(False)
    except TimeoutError:
        pass


waits = {
    "time.sleep": time.sleep,
    "Event.wait": lambda s: expect(not threading.Event().wait(s)),
    "Condition.wait": condition,
    "Lock.acquire": lambda s: [l := threading.Lock(), l.acquire(), expect(not l.acquire(timeout=s))],
    "Queue.get": queued,
    "Future.result": future,
    "threading.Timer": timer,
    "select.select": lambda s: expect(select.select([r], [], [r], s) == ([], [], [])),
    "select.poll": poll,
    "select.epoll": epoll,
    "socket.settimeout": listener,
    "asyncio.sleep": lambda s: asyncio.run(asyncio.sleep(s)),
    "asyncio.wait_for": lambda s: asyncio.run(wait_for(s)),
    "signal.sigtimedwait": lambda s: expect(signal.sigtimedwait([signal.SIGUSR2], s) is None),
    "subprocess.run": lambda s: subprocess.run(["sleep", str(s)], check=True),
}


def run(i, name):
    try:
        waits[name](first + 60 * i)
    except BaseException:
        print("%s failed" % name, file=sys.stderr)
        sys.stderr.flush()
        raise
    os.write(1, b"%s %.9f %.9f\n" % (name.encode(), time.time(), time.monotonic()))


print("begin %d %.9f" % (time.time(), time.monotonic()), flush=True)
threads = [threading.Thread(target=run, args=(i, name)) for i, name in enumerate(waits)]
for t in threads:
    t.start()
for t in threads:
    t.join()
