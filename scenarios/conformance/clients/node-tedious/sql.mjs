// What tedious does with a database of Azure SQL, each operation once. The argument is how it
// logs in, with "strict" after it for TDS 8.0.
import assert from "node:assert";
import { DefaultAzureCredential } from "@azure/identity";
import { Connection, ISOLATION_LEVEL, Request, TYPES } from "tedious";

const [, , type, ...args] = process.argv;
const encrypt = args[0] === "strict" ? "strict" : true;

async function authentication() {
  const clientId = process.env.AZURE_CLIENT_ID;
  switch (type) {
    case "azure-active-directory-access-token": {
      const { token } = await new DefaultAzureCredential().getToken("https://database.windows.net/.default");
      return { type, options: { token } };
    }
    case "token-credential":
      return { type, options: { credential: new DefaultAzureCredential() } };
    default:
      return { type, options: { clientId } };
  }
}

async function open(database) {
  const connection = new Connection({
    server: "orders.database.windows.net",
    authentication: await authentication(),
    options: { database, encrypt, connectTimeout: 180_000, requestTimeout: 180_000, cancelTimeout: 60_000 },
  });
  await new Promise((done, failed) => connection.connect((error) => (error ? failed(error) : done())));
  return connection;
}

// The rows of a statement, and with what it was called.
const run = (connection, how, sql, parameters = []) =>
  new Promise((done, failed) => {
    const rows = [];
    const request = new Request(sql, (error) => (error ? failed(error) : done(rows)));
    for (const parameter of parameters) request.addParameter(...parameter);
    request.on("row", (columns) => rows.push(columns.map((column) => column.value)));
    connection[how](request);
  });
const query = (connection, sql, parameters) => run(connection, "execSql", sql, parameters);
const batch = (connection, sql) => run(connection, "execSqlBatch", sql);
const call = (connection, method, ...args) =>
  new Promise((done, failed) => connection[method]((error) => (error ? failed(error) : done()), ...args));

const create = "CREATE USER [reporting] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reporting]";
const drop = "ALTER ROLE db_datareader DROP MEMBER [reporting]; DROP USER [reporting]";
const there = async () =>
  (await query(sales, "SELECT name FROM sys.database_principals WHERE name = @name", [["name", TYPES.NVarChar, "reporting"]])).length;

const output = (connection, sql, name, type) =>
  new Promise((done, failed) => {
    let found;
    const request = new Request(sql, (error) => (error ? failed(error) : done(found)));
    request.addOutputParameter(name, type);
    request.on("returnValue", (returned, value) => returned === name && (found = value));
    connection.execSql(request);
  });

async function fails(database, sql, text, number) {
  const error = await open(database)
    .then(async (connection) => {
      await query(connection, sql).finally(() => connection.close());
    })
    .then(() => assert.fail(`${database}: expected ${text}`), (error) => error);
  assert.equal(error.message, text);
  assert.equal(error.number ?? error.code, number); // errors of a login have a code of tedious' own
}

const operations = {
  async ping() {
    assert.deepEqual(await query(sales, "SELECT 1 AS one"), [[1]]);
  },
  async who() {
    assert.deepEqual(await query(sales, "SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()"), [
      [`${process.env.AZURE_CLIENT_ID}@${process.env.AZURE_TENANT_ID}`, "web", "sales"],
    ]);
  },
  async parameters() {
    const at = new Date("2031-02-03T04:05:06.789Z");
    const [row] = await query(sales, "SELECT @text, @number, @yes, @amount, @at, @id, @raw, @nothing", [
      ["text", TYPES.NVarChar, "blå 🐟"],
      ["number", TYPES.Int, -7],
      ["yes", TYPES.Bit, true],
      ["amount", TYPES.Decimal, 12.3456, { precision: 18, scale: 4 }],
      ["at", TYPES.DateTime2, at],
      ["id", TYPES.UniqueIdentifier, "01234567-89AB-CDEF-0123-456789ABCDEF"],
      ["raw", TYPES.VarBinary, Buffer.from([1, 2, 3])],
      ["nothing", TYPES.NVarChar, null],
    ]);
    assert.deepEqual(row, ["blå 🐟", -7, true, 12.3456, at, "01234567-89AB-CDEF-0123-456789ABCDEF", Buffer.from([1, 2, 3]), null]);
    assert.equal(await output(sales, "SET @n = 41; SET @n = @n + 1", "n", TYPES.Int), 42);
  },
  async prepared() {
    const found = [];
    let completed;
    const request = new Request("SELECT @n + 1", (error) => completed(error));
    request.addParameter("n", TYPES.Int);
    request.on("row", ([column]) => found.push(column.value));
    const next = (start) =>
      new Promise((done, failed) => {
        completed = (error) => error && failed(error);
        request.once("error", failed);
        start(done);
      });
    await next((done) => {
      request.once("prepared", done);
      sales.prepare(request);
    });
    for (const n of [1, 2]) {
      await next((done) => {
        request.once("requestCompleted", done);
        sales.execute(request, { n });
      });
    }
    await next((done) => {
      request.once("requestCompleted", done);
      sales.unprepare(request);
    });
    assert.deepEqual(found, [2, 3]);
  },
  async users() {
    assert.equal(await there(), 0);
    await batch(sales, create);
    assert.equal(await there(), 1);
    await batch(sales, drop);
    assert.equal(await there(), 0);
  },
  async rollback() {
    await call(sales, "beginTransaction", "", ISOLATION_LEVEL.SERIALIZABLE);
    await batch(sales, create);
    assert.equal(await there(), 1);
    await call(sales, "rollbackTransaction");
    assert.equal(await there(), 0);
  },
  async commit() {
    await call(sales, "beginTransaction");
    await batch(sales, create);
    await call(sales, "commitTransaction");
    assert.equal(await there(), 1);
    await batch(sales, drop);
  },
  // The connection goes on after a statement that was cancelled, and is as new after a reset.
  async cancel() {
    const before = await query(sales, "SELECT @@SPID");
    const ended = await new Promise((done) => {
      sales.execSqlBatch(new Request("WAITFOR DELAY '00:01:00'", (error) => done(error)));
      setTimeout(() => sales.cancel(), 200);
    });
    assert.equal(ended?.message, "Canceled.");
    await new Promise((done, failed) => sales.reset((error) => (error ? failed(error) : done())));
    assert.deepEqual(await query(sales, "SELECT @@SPID"), before);
  },
  async denied() {
    await fails("reports", "SELECT * FROM dbo.orders", "The SELECT permission was denied on the object 'orders', database 'reports', schema 'dbo'.", 229);
  },
  async nobody() {
    for (const database of ["stock", "none"]) {
      await fails(database, "SELECT 1", "Login failed for user '<token-identified principal>'.", "ELOGIN");
    }
  },
};

async function one(name, operation) {
  try {
    return await operation();
  } catch (error) {
    console.log(name, "failed", String(error.message ?? error).replace(/\s+/g, " "));
    process.exit(1);
  }
}

// Asks who it is every so often, by a connection that it keeps, or replaces when it is so old.
async function watch(every, age) {
  const oldest = /^(\d+)h$/.exec(age)?.[1] * 3600_000 || Infinity;
  let connection, opened;
  for (;;) {
    let line;
    try {
      if (connection && Date.now() - opened >= oldest) connection = connection.close();
      if (!connection) [connection, opened] = [await open("sales"), Date.now()];
      const [[user, session]] = await query(connection, "SELECT USER_NAME(), @@SPID");
      line = { ok: true, user, session };
    } catch (error) {
      line = { ok: false, user: "", session: 0, error: error.message, number: error.number };
      connection = connection?.close();
    }
    console.log(JSON.stringify(line));
    await new Promise((done) => setTimeout(done, every * 1000));
  }
}

if (args[0] === "watch") await watch(args[1], args[2]);
const sales = await one("login", () => open("sales"));
for (const [name, operation] of Object.entries(operations)) {
  await one(name, operation);
  console.log(name, "ok");
}
console.log("round done");
for await (const _ of process.stdin);
process.exit(0);
