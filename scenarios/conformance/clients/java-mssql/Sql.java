import com.azure.core.credential.TokenCredential;
import com.azure.core.credential.TokenRequestContext;
import com.azure.identity.DefaultAzureCredentialBuilder;
import com.microsoft.sqlserver.jdbc.SQLServerAccessTokenCallback;
import com.microsoft.sqlserver.jdbc.SQLServerDataSource;
import com.microsoft.sqlserver.jdbc.SqlAuthenticationToken;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLTimeoutException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;

/** What mssql-jdbc does with a database of Azure SQL, each operation once. */
public class Sql {
    static final String CREATE = "CREATE USER [reporting] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reporting]";
    static final String DROP = "ALTER ROLE db_datareader DROP MEMBER [reporting]; DROP USER [reporting]";
    static final String SCOPE = "https://database.windows.net/.default";
    static TokenCredential credential;

    public static void main(String[] args) throws Exception {
        String how = args[0];
        if (args.length > 2 && args[1].equals("watch")) {
            watch(how, Long.parseLong(args[2]), args.length > 3 ? Duration.parse("PT" + args[3]) : Duration.ofDays(365));
        }
        Connection[] opened = new Connection[1];
        Operations.run("login", () -> opened[0] = open(how, "sales"));
        Connection sales = opened[0];
        Operations.run("ping", () -> Operations.want(one(sales, "SELECT 1").equals("1"), "SELECT 1"));
        Operations.run("who", () -> {
            String who = one(sales, "SELECT SUSER_SNAME() + ' ' + USER_NAME() + ' ' + DB_NAME()");
            Operations.want(who.equals(System.getenv("AZURE_CLIENT_ID") + "@" + System.getenv("AZURE_TENANT_ID") + " web sales"), who);
        });
        Operations.run("metadata", () -> {
            Operations.want(sales.getMetaData().getDatabaseProductName().equals("Microsoft SQL Server"), sales.getMetaData().getDatabaseProductName());
            Operations.want(sales.getCatalog().equals("sales"), sales.getCatalog());
            Operations.want(sales.isValid(5), "isValid");
        });
        Operations.run("parameters", () -> parameters(sales));
        Operations.run("prepared", () -> { // prepared by the second execution, executed by its handle then
            try (PreparedStatement statement = sales.prepareStatement("SELECT ? + 1")) {
                for (int n = 0; n < 4; n++) {
                    statement.setInt(1, n);
                    try (ResultSet found = statement.executeQuery()) {
                        Operations.want(found.next() && found.getInt(1) == n + 1, n);
                    }
                }
            }
        });
        Operations.run("users", () -> {
            counts(sales, 0);
            execute(sales, CREATE);
            counts(sales, 1);
            execute(sales, DROP);
            counts(sales, 0);
        });
        Operations.run("rollback", () -> {
            sales.setAutoCommit(false);
            execute(sales, CREATE);
            counts(sales, 1);
            sales.rollback();
            counts(sales, 0);
            sales.setAutoCommit(true);
        });
        Operations.run("commit", () -> {
            sales.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            sales.setAutoCommit(false);
            execute(sales, CREATE);
            sales.commit();
            sales.setAutoCommit(true);
            counts(sales, 1);
            execute(sales, DROP);
        });
        Operations.run("cancel", () -> { // the connection goes on after it
            String before = one(sales, "SELECT @@SPID");
            try (Statement statement = sales.createStatement()) {
                statement.setQueryTimeout(1);
                statement.execute("WAITFOR DELAY '00:01:00'");
                Operations.want(false, "no timeout");
            } catch (SQLTimeoutException expected) {
                Operations.want(one(sales, "SELECT @@SPID").equals(before), "another session");
            }
        });
        Operations.run("denied", () -> fails(how, "reports", "SELECT * FROM dbo.orders", 229,
            "The SELECT permission was denied on the object 'orders', database 'reports', schema 'dbo'."));
        Operations.run("nobody", () -> fails(how, "stock", "SELECT 1", 18456, "Login failed for user '<token-identified principal>'. ClientConnectionId:"));
        sales.close();
        Operations.done();
    }

    static Connection open(String how, String database) throws SQLException {
        SQLServerDataSource source = new SQLServerDataSource();
        source.setServerName("orders.database.windows.net");
        source.setDatabaseName(database);
        source.setLoginTimeout(180); // of 30 seconds, a JVM that has just started needs many on a busy machine
        switch (how) {
            case "token":
                source.setAccessToken(token().getAccessToken());
                break;
            case "callback":
                source.setAccessTokenCallback((SQLServerAccessTokenCallback) (spn, sts) -> token());
                break;
            case "strict":
                source.setEncrypt("strict");
                // as the default
            default:
                source.setAuthentication("ActiveDirectoryDefault");
        }
        return source.getConnection();
    }

    static synchronized SqlAuthenticationToken token() {
        if (credential == null) {
            credential = new DefaultAzureCredentialBuilder().build();
        }
        var token = credential.getTokenSync(new TokenRequestContext().addScopes(SCOPE));
        return new SqlAuthenticationToken(token.getToken(), token.getExpiresAt().toInstant().toEpochMilli());
    }

    static String one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet found = statement.executeQuery(sql)) {
            found.next();
            return found.getString(1);
        }
    }

    static void execute(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static void counts(Connection connection, int expected) throws SQLException {
        int found = 0;
        try (PreparedStatement statement = connection.prepareStatement("SELECT name FROM sys.database_principals WHERE name = ?")) {
            statement.setString(1, "reporting");
            try (ResultSet names = statement.executeQuery()) {
                while (names.next()) {
                    found++;
                }
            }
        }
        Operations.want(found == expected, found + " users");
    }

    static void parameters(Connection connection) throws SQLException {
        Timestamp at = Timestamp.valueOf("2031-02-03 04:05:06.789");
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?, ?, ?, ?, ?, ?, ?")) {
            statement.setString(1, "blå 🐟");
            statement.setLong(2, 1L << 40);
            statement.setBoolean(3, true);
            statement.setBigDecimal(4, new BigDecimal("12.3456"));
            statement.setTimestamp(5, at);
            statement.setBytes(6, new byte[] {1, 2, 3});
            statement.setNull(7, java.sql.Types.NVARCHAR);
            try (ResultSet row = statement.executeQuery()) {
                row.next();
                Operations.want(row.getString(1).equals("blå 🐟") && row.getLong(2) == 1L << 40 && row.getBoolean(3), row.getString(1));
                Operations.want(row.getBigDecimal(4).compareTo(new BigDecimal("12.3456")) == 0, row.getBigDecimal(4));
                Operations.want(row.getTimestamp(5).equals(at), row.getTimestamp(5));
                Operations.want(row.getBytes(6).length == 3 && row.getString(7) == null, row.getString(7));
            }
        }
    }

    static void fails(String how, String database, String sql, int code, String text) throws SQLException {
        try (Connection connection = open(how, database)) {
            execute(connection, sql);
        } catch (SQLException e) {
            Operations.want(e.getErrorCode() == code && e.getMessage().startsWith(text), e.getErrorCode() + " " + e.getMessage());
            return;
        }
        throw new IllegalStateException(database + ": expected " + code);
    }

    /** Asks who it is every so often, by a connection that it keeps, or replaces when it is so old. */
    static void watch(String how, long every, Duration oldest) throws InterruptedException {
        Connection connection = null;
        Instant opened = null;
        while (true) {
            String line;
            try {
                if (connection != null && !Instant.now().isBefore(opened.plus(oldest))) {
                    connection.close();
                    connection = null;
                }
                if (connection == null) {
                    connection = open(how, "sales");
                    opened = Instant.now();
                }
                line = "{\"ok\":true,\"user\":\"" + one(connection, "SELECT USER_NAME()") + "\",\"session\":" + one(connection, "SELECT @@SPID") + "}";
            } catch (SQLException e) {
                line = "{\"ok\":false,\"user\":\"\",\"session\":0,\"number\":" + e.getErrorCode() + ",\"error\":\"" + e.toString().replaceAll("[^ !#-\\[\\]-~]+", " ") + "\"}";
                connection = null; // the server has closed it
            }
            System.out.println(line);
            Thread.sleep(1000 * every);
        }
    }
}
