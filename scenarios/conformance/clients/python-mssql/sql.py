"""What mssql-python does with a database of Azure SQL, each operation once."""
import datetime
import decimal
import json
import os
import sys
import time

import mssql_python
from azure.identity import DefaultAzureCredential

CREATE = "CREATE USER [reporting] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reporting]"
DROP = "ALTER ROLE db_datareader DROP MEMBER [reporting]; DROP USER [reporting]"


def connect(database):
    how = sys.argv[1]
    dsn = f"Server=tcp:orders.database.windows.net,1433;Database={database};Encrypt={'strict' if how == 'strict' else 'yes'};"
    if how == "provider":
        return mssql_python.connect(dsn, token_provider=credential, autocommit=True)
    return mssql_python.connect(dsn + "Authentication=ActiveDirectoryDefault;", autocommit=True)


def one(connection, sql, *parameters):
    return tuple(connection.execute(sql, *parameters).fetchone())


def want(found, expected):
    if found != expected:
        raise ValueError(f"expected {expected}, found {found}")


def there(connection):
    return len(connection.execute("SELECT name FROM sys.database_principals WHERE name = ?", "reporting").fetchall())


def ping():
    want(one(sales, "SELECT 1"), (1,))


def who():
    want(one(sales, "SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()"), (f"{os.environ['AZURE_CLIENT_ID']}@{os.environ['AZURE_TENANT_ID']}", "web", "sales"))


def parameters():
    at = datetime.datetime(2031, 2, 3, 4, 5, 6, 789000)
    row = ("blå 🐟", 1 << 40, True, decimal.Decimal("12.3456"), at, b"\x01\x02\x03", None)
    want(one(sales, "SELECT ?, ?, ?, ?, ?, ?, ?", *row), row)


def prepared():
    cursor = sales.cursor()
    for n in range(3):
        want(tuple(cursor.execute("SELECT ? + 1", n).fetchone()), (n + 1,))


def results():
    cursor = sales.execute("SELECT 1 AS n; SELECT 2 AS n")
    want([column[0] for column in cursor.description], ["n"])
    want(tuple(cursor.fetchone()), (1,))
    want(cursor.nextset(), True)
    want(tuple(cursor.fetchone()), (2,))


def users():
    want(there(sales), 0)
    sales.execute(CREATE)
    want(there(sales), 1)
    sales.execute(DROP)
    want(there(sales), 0)


def rollback():
    sales.setautocommit(False)
    sales.execute(CREATE)
    want(there(sales), 1)
    sales.rollback()
    want(there(sales), 0)
    sales.commit()
    sales.setautocommit(True)


def commit():
    sales.setautocommit(False)
    sales.execute(CREATE)
    sales.commit()
    sales.setautocommit(True)
    want(there(sales), 1)
    sales.execute(DROP)


def timeout():
    """The connection goes on after a statement that took too long."""
    before = one(sales, "SELECT @@SPID")
    sales.timeout = 1
    try:
        sales.execute("WAITFOR DELAY '00:01:00'")
    except mssql_python.Error:
        sales.timeout = 0
        want(one(sales, "SELECT @@SPID"), before)
        return
    raise ValueError("no timeout")


def fails(database, sql, text):
    try:
        connection = connect(database)
        connection.execute(sql)
    except mssql_python.Error as error:
        if text not in str(error):
            raise
        return
    raise ValueError(f"{database}: expected {text}")


def denied():
    fails("reports", "SELECT * FROM dbo.orders", "The SELECT permission was denied on the object 'orders', database 'reports', schema 'dbo'.")


def nobody():
    fails("stock", "SELECT 1", "Login failed for user '<token-identified principal>'.")


def watch(every, age):
    """Asks who it is every so often, by a connection that it keeps, or replaces when it is so old."""
    oldest = int(age.removesuffix("h")) * 3600 if age else float("inf")
    connection, opened = None, 0
    while True:
        try:
            if connection and time.time() - opened >= oldest:
                connection = connection.close()
            if not connection:
                connection, opened = connect("sales"), time.time()
            user, session = one(connection, "SELECT USER_NAME(), @@SPID")
            line = {"ok": True, "user": user, "session": session}
        except mssql_python.Error as error:
            line = {"ok": False, "user": "", "session": 0, "error": str(error), "number": 18456 if "Login failed" in str(error) else 0}
            connection = None
        print(json.dumps(line), flush=True)
        time.sleep(every)


def run(name, operation):
    try:
        return operation()
    except Exception as error:
        print(name, "failed", type(error).__name__, " ".join(str(error).split()), flush=True)
        sys.exit(1)


credential = DefaultAzureCredential()
if len(sys.argv) > 3 and sys.argv[2] == "watch":
    mssql_python.pooling(enabled=False)  # one connection, as long as it is kept
    watch(float(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "")
sales = run("login", lambda: connect("sales"))
for operation in ping, who, parameters, prepared, results, users, rollback, commit, timeout, denied, nobody:
    run(operation.__name__, operation)
    print(operation.__name__, "ok", flush=True)
print("round done", flush=True)
sys.stdin.read()
