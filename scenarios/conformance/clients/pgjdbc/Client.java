import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.DefaultAzureCredentialBuilder;
import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;

/** What pgjdbc does with a server of Azure Database for PostgreSQL, each operation once. */
public class Client {
    // DefaultJavaSSLFactory trusts what the JVM does; pgjdbc's own wants a file.
    static final String SERVER = "jdbc:postgresql://orders.postgres.database.azure.com/orders"
        + "?sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory";
    static final String PLUGIN = "com.azure.identity.extensions.jdbc.postgresql.AzurePostgresqlAuthenticationPlugin";

    interface Operation { void run() throws Exception; }

    static Connection connection;

    /** On the lab clock the plugin's 30 seconds for a token may be over before the token is there: the JVM's own threads tick. */
    static boolean patient;

    static Connection connect() throws SQLException {
        var settings = new Properties();
        settings.setProperty("user", "web");
        settings.setProperty("authenticationPluginClassName", PLUGIN);
        if (patient) settings.setProperty("azure.accessTokenTimeoutInSeconds", "3600");
        return DriverManager.getConnection(SERVER, settings);
    }

    static void exec(String sql) throws SQLException {
        try (var statement = connection.createStatement()) { statement.execute(sql); }
    }

    static String value(Connection on, String sql) throws SQLException {
        try (var statement = on.createStatement(); var rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getString(1);
        }
    }

    static void want(Object expected, Object found) {
        if (!expected.equals(found)) throw new IllegalStateException("expected " + expected + ", found " + found);
    }

    static void fails(String code, Operation operation) throws Exception {
        try {
            operation.run();
        } catch (SQLException e) {
            want(code, e.getSQLState());
            return;
        }
        throw new IllegalStateException("expected " + code + ", found no error");
    }

    static void login() throws Exception {
        connection = connect();
        want("web of orders", value(connection, "select current_user || ' of ' || current_database()"));
    }

    static void table() throws Exception { exec("create table jdbc (n int primary key, t text)"); }

    static void prepared() throws Exception {
        try (var statement = connection.prepareStatement("select ? + 1")) {
            for (int n = 0; n < 20; n++) {
                statement.setInt(1, n);
                try (var rows = statement.executeQuery()) {
                    rows.next();
                    want(n + 1, rows.getInt(1));
                }
            }
        }
    }

    static void transaction() throws Exception {
        connection.setAutoCommit(false);
        exec("insert into jdbc values (1)");
        connection.commit();
        exec("insert into jdbc values (2)");
        fails("23505", () -> exec("insert into jdbc values (1)"));
        connection.rollback();
        connection.setAutoCommit(true);
        want("1", value(connection, "select count(*) from jdbc"));
    }

    static void copy() throws Exception {
        var rows = new StringBuilder();
        for (int n = 2; n < 10_002; n++) rows.append(n).append('\t').append("x".repeat(99)).append('\n');
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        want(10_000L, copies.copyIn("copy jdbc from stdin", new StringReader(rows.toString())));
        var out = new ByteArrayOutputStream();
        want(10_001L, copies.copyOut("copy jdbc to stdout", out));
        want(true, out.size() > 1_000_000);
    }

    static void batch() throws Exception {
        try (var statement = connection.prepareStatement("insert into jdbc values (?, 'batch')")) {
            for (int n = 0; n < 50; n++) {
                statement.setInt(1, 20_000 + n);
                statement.addBatch();
            }
            want(50, statement.executeBatch().length);
        }
    }

    static void timeout() throws Exception {
        try (var statement = connection.createStatement()) {
            statement.setQueryTimeout(5);
            fails("57014", () -> statement.execute("select pg_sleep(120)"));
        }
    }

    /** A query is cancelled once it runs. */
    static void cancel() throws Exception {
        try (var statement = connection.createStatement(); var other = connect()) {
            var pid = connection.unwrap(PGConnection.class).getBackendPID();
            var cancelled = CompletableFuture.runAsync(() -> {
                try {
                    while ("0".equals(value(other, "select count(*) from pg_stat_activity where pid = " + pid + " and state = 'active' and query like 'select pg_sleep%'")));
                    statement.cancel();
                } catch (SQLException e) {
                    throw new IllegalStateException(e);
                }
            });
            fails("57014", () -> statement.execute("select pg_sleep(121)"));
            cancelled.get();
        }
    }

    static void drop() throws Exception {
        exec("drop table jdbc");
        connection.close();
    }

    /** Each round asks in the session of the start, logs in with a token of now, and with that of the start. */
    static void watch(long seconds) throws Exception {
        patient = true;
        var old = new DefaultAzureCredentialBuilder().build()
            .getTokenSync(new TokenRequestContext().addScopes("https://ossrdbms-aad.database.windows.net/.default")).getToken();
        var session = DriverManager.getConnection(SERVER, "web", old);
        for (;;) {
            String said;
            try (var now = connect()) {
                said = "\"ok\":true,\"session\":" + value(session, "select 1") + ",\"secret\":\"" + value(now, "select current_user") + "\"";
            } catch (SQLException e) {
                said = "\"ok\":false,\"error\":\"" + text(e) + "\"";
            }
            try (var again = DriverManager.getConnection(SERVER, "web", old)) {
                said += ",\"old\":\"let in\"";
            } catch (SQLException e) {
                said += ",\"old\":\"" + text(e) + "\"";
            }
            System.out.println("{" + said + "}");
            Thread.sleep(seconds * 1000);
        }
    }

    static String text(SQLException e) { return (e.getSQLState() + ": " + e.getMessage()).replaceAll("[\"\\\\\\s]+", " "); }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 1 && arguments[0].equals("watch")) watch(Long.parseLong(arguments[1]));
        Map<String, Operation> operations = new LinkedHashMap<>();
        operations.put("login", Client::login);
        operations.put("table", Client::table);
        operations.put("prepared", Client::prepared);
        operations.put("transaction", Client::transaction);
        operations.put("copy", Client::copy);
        operations.put("batch", Client::batch);
        operations.put("timeout", Client::timeout);
        operations.put("cancel", Client::cancel);
        operations.put("drop", Client::drop);
        for (var operation : operations.entrySet()) {
            try {
                operation.getValue().run();
            } catch (Exception e) {
                System.out.println(operation.getKey() + " failed " + (e instanceof SQLException sql ? text(sql) : e.toString().replaceAll("\\s+", " ")));
                System.exit(1);
            }
            System.out.println(operation.getKey() + " ok");
        }
        System.out.println("round done");
        System.in.readAllBytes();
        System.exit(0);
    }
}
