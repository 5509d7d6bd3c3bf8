"""What psycopg does with a server of Azure Database for PostgreSQL, each operation once, with
connections and pools that are sync or async."""

import asyncio
import inspect
import json
import os
import sys

import psycopg
import psycopg_pool

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
SERVER = "host=orders.postgres.database.azure.com dbname=orders sslmode=verify-full user=" + os.environ.get("ROLE", "web")
AIO = sys.argv[1] == "aio"

if AIO:
    from azure.identity.aio import DefaultAzureCredential

    Connection, Pool = psycopg.AsyncConnection, psycopg_pool.AsyncConnectionPool
else:
    from azure.identity import DefaultAzureCredential

    Connection, Pool = psycopg.Connection, psycopg_pool.ConnectionPool


async def result(value):
    """What a call of a sync or async client returns."""
    return await value if inspect.isawaitable(value) else value


class Program:
    def __init__(self):
        self.credential = DefaultAzureCredential()

    async def token(self):
        return (await result(self.credential.get_token(SCOPE))).token

    async def connect(self, token=None, **options):
        return await result(Connection.connect(SERVER, password=token or await self.token(), **options))

    async def login(self):
        self.connection = await self.connect(autocommit=True)
        assert await self.value("select current_user || ' of ' || current_database()") == "web of orders"
        assert self.connection.pgconn.ssl_in_use

    async def value(self, sql, parameters=None, on=None, **options):
        cursor = await result((on or self.connection).execute(sql, parameters, **options))
        return (await result(cursor.fetchone()))[0]

    async def table(self):
        await result(self.connection.execute("create table if not exists psycopg (n int primary key, t text)"))
        await result(self.connection.execute("truncate psycopg"))

    async def prepared(self):
        for n in range(20):
            assert await self.value("select %s::int + 1", (n,), prepare=True) == n + 1

    async def transaction(self):
        connection = await self.connect()
        await result(connection.execute("insert into psycopg values (1)"))
        await result(connection.commit())
        await result(connection.execute("insert into psycopg values (2)"))
        await result(connection.rollback())
        try:
            await result(connection.execute("insert into psycopg values (1)"))
        except psycopg.errors.UniqueViolation as error:
            assert error.sqlstate == "23505"
        else:
            raise AssertionError("expected 23505, found no error")
        await result(connection.close())
        assert await self.value("select count(*) from psycopg") == 1

    async def copy(self):
        cursor = self.connection.cursor()
        rows = [(n, "x" * 99) for n in range(2, 10_002)]
        if AIO:
            async with cursor.copy("copy psycopg from stdin") as copy:
                for row in rows:
                    await copy.write_row(row)
            async with cursor.copy("copy psycopg to stdout") as copy:
                found = sum([len(chunk) async for chunk in copy])
        else:
            with cursor.copy("copy psycopg from stdin") as copy:
                for row in rows:
                    copy.write_row(row)
            with cursor.copy("copy psycopg to stdout") as copy:
                found = sum(len(chunk) for chunk in copy)
        assert found > 1_000_000, found
        assert await self.value("select count(*) from psycopg") == 10_001

    async def pipeline(self):
        if AIO:
            async with self.connection.pipeline():
                cursors = [await self.connection.execute("select %s::int", (n,)) for n in range(50)]
                found = [(await cursor.fetchone())[0] for cursor in cursors]
        else:
            with self.connection.pipeline():
                cursors = [self.connection.execute("select %s::int", (n,)) for n in range(50)]
                found = [cursor.fetchone()[0] for cursor in cursors]
        assert found == list(range(50)), found

    async def pool(self):
        token = await self.token()
        pool = Pool(SERVER, kwargs={"password": token, "autocommit": True}, min_size=3, open=False)
        await result(pool.open())
        await result(pool.wait())
        for n in range(10):
            connection = await result(pool.getconn())
            assert await self.value("select %s::int", (n,), on=connection) == n
            await result(pool.putconn(connection))
        await result(pool.close())

    async def notify(self):
        other = await self.connect(autocommit=True)
        await result(other.execute("listen psycopg"))
        await result(self.connection.execute("notify psycopg, 'hello'"))
        if AIO:
            found = [n.payload async for n in other.notifies(timeout=60, stop_after=1)]
        else:
            found = [n.payload for n in other.notifies(timeout=60, stop_after=1)]
        assert found == ["hello"], found
        await result(other.close())

    async def cancel(self):
        """A query is cancelled once it runs."""
        pid = self.connection.info.backend_pid
        other = await self.connect(autocommit=True)

        async def wait():
            while await self.value("select count(*) from pg_stat_activity where pid = %s and state = 'active' and query like %s", (pid, "select pg_sleep%"), on=other) == 0:
                pass
            await result(self.connection.cancel_safe())

        if AIO:
            waiting = asyncio.create_task(wait())
        else:
            waiting = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(wait())))
            await asyncio.sleep(0)  # the thread begins
        try:
            await result(self.connection.execute("select pg_sleep(120)"))
        except psycopg.errors.QueryCanceled as error:
            assert error.sqlstate == "57014"
        else:
            raise AssertionError("expected 57014, found no error")
        await waiting
        await result(other.close())

    async def drop(self):
        await result(self.connection.execute("drop table psycopg"))
        await result(self.connection.close())

    async def watch(self, seconds):
        """Each round asks in the session of the start, logs in with a token of now, and with that of the start."""
        old = await self.token()
        session = await self.connect(old, autocommit=True)
        while True:
            said = {"ok": True}
            try:
                said["session"] = await self.value("select 1", on=session)
                now = await self.connect(autocommit=True)
                said["secret"] = await self.value("select current_user", on=now)
                await result(now.close())
            except Exception as error:
                said = {"ok": False, "error": str(error)}
            try:
                await result((await self.connect(old)).close())
                said["old"] = "let in"
            except psycopg.OperationalError as error:
                said["old"] = str(error)
            print(json.dumps(said), flush=True)
            await asyncio.sleep(seconds)


async def main():
    program = Program()
    if len(sys.argv) > 3 and sys.argv[2] == "watch":
        await program.watch(int(sys.argv[3]))
    for name in ["login", "table", "prepared", "transaction", "copy", "pipeline", "pool", "notify", "cancel", "drop"]:
        try:
            await getattr(program, name)()
        except Exception as error:
            print(name, "failed", type(error).__name__, getattr(error, "sqlstate", None), " ".join(str(error).split("\n")), flush=True)
            sys.exit(1)
        print(name, "ok", flush=True)
    print("round done", flush=True)
    sys.stdin.read()
    if AIO:
        await program.credential.close()


asyncio.run(main())
