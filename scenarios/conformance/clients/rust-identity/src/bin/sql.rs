//! What tiberius does with a database of Azure SQL, each operation once. With the argument
//! strict it speaks TDS 8.0.

#[path = "../operations.rs"]
mod operations;

use std::{env, error::Error};

use azure_core::credentials::TokenCredential;
use azure_identity::WorkloadIdentityCredential;
use operations::{done, run, want, Outcome};
use tiberius::{error::Error as SqlError, numeric::Decimal, AuthMethod, Client, Config, EncryptionLevel, ToSql};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

type Connection = Client<Compat<TcpStream>>;

const CREATE: &str = "CREATE USER [reporting] FROM EXTERNAL PROVIDER; ALTER ROLE db_datareader ADD MEMBER [reporting]";
const DROP: &str = "ALTER ROLE db_datareader DROP MEMBER [reporting]; DROP USER [reporting]";
const LOGIN_FAILED: &str = "Login failed for user '<token-identified principal>'.";

async fn open(database: &str) -> Result<Connection, Box<dyn Error>> {
    let credential = WorkloadIdentityCredential::new(None)?;
    let token = credential.get_token(&["https://database.windows.net/.default"], None).await?;
    let mut config = Config::new();
    config.host("orders.database.windows.net");
    config.port(1433);
    config.database(database);
    config.authentication(AuthMethod::aad_token(token.token.secret()));
    config.encryption(match env::args().nth(1).as_deref() {
        Some("strict") => EncryptionLevel::Strict,
        _ => EncryptionLevel::Required,
    });
    let tcp = TcpStream::connect(config.get_addr()).await?;
    tcp.set_nodelay(true)?;
    Ok(Client::connect(config, tcp.compat_write()).await?)
}

async fn count(sales: &mut Connection) -> Result<usize, Box<dyn Error>> {
    let rows = sales.query("SELECT name FROM sys.database_principals WHERE name = @P1", &[&"reporting"]).await?;
    Ok(rows.into_first_result().await?.len())
}

async fn batch(sales: &mut Connection, sql: &str) -> Outcome {
    sales.simple_query(sql).await?.into_results().await?;
    Ok(())
}

/// Checks the error of a statement in a database, or of the login.
async fn fails(database: &str, sql: &str, number: u32, text: &str) -> Outcome {
    let failed = match open(database).await {
        Ok(mut connection) => batch(&mut connection, sql).await.err(),
        Err(e) => Some(e),
    };
    let failed = failed.ok_or("no error")?;
    match failed.downcast_ref::<SqlError>() {
        Some(SqlError::Server(e)) => want(e.code() == number && e.message() == text, &format!("{e}")),
        _ => Err(failed),
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let mut opened = None;
    run("login", async {
        opened = Some(open("sales").await?);
        Ok(())
    })
    .await;
    let mut sales = opened.ok_or("no login")?;

    run("who", async {
        let row = sales.simple_query("SELECT SUSER_SNAME(), USER_NAME(), DB_NAME()").await?.into_row().await?.ok_or("no row")?;
        let who = (row.get::<&str, _>(0), row.get::<&str, _>(1), row.get::<&str, _>(2));
        let login = format!("{}@{}", env::var("AZURE_CLIENT_ID")?, env::var("AZURE_TENANT_ID")?);
        want(who == (Some(&login), Some("web"), Some("sales")), &format!("{who:?}"))
    })
    .await;
    run("parameters", async {
        let amount = Decimal::new(123456, 4);
        let parameters: [&dyn ToSql; 6] = [&"blå 🐟", &(1i64 << 40), &true, &amount, &&[1u8, 2, 3][..], &Option::<&str>::None];
        let row = sales.query("SELECT @P1, @P2, @P3, @P4, @P5, @P6", &parameters).await?.into_row().await?.ok_or("no row")?;
        want(row.get::<&str, _>(0) == Some("blå 🐟") && row.get::<i64, _>(1) == Some(1 << 40), "the text or the number")?;
        want(row.get::<bool, _>(2) == Some(true) && row.get::<Decimal, _>(3) == Some(amount), "the bit or the decimal")?;
        want(row.get::<&[u8], _>(4) == Some(&[1u8, 2, 3][..]) && row.get::<&str, _>(5).is_none(), "the bytes or NULL")
    })
    .await;
    run("results", async {
        let results = sales.simple_query("SELECT 1 AS n; SELECT 2 AS n").await?.into_results().await?;
        let found: Vec<Option<i32>> = results.iter().flatten().map(|row| row.get("n")).collect();
        want(found == [Some(1), Some(2)], &format!("{found:?}"))
    })
    .await;
    run("users", async {
        want(count(&mut sales).await? == 0, "a user")?;
        batch(&mut sales, CREATE).await?;
        want(count(&mut sales).await? == 1, "no user")?;
        batch(&mut sales, DROP).await?;
        want(count(&mut sales).await? == 0, "a user")
    })
    .await;
    run("rollback", async {
        batch(&mut sales, "BEGIN TRAN").await?;
        sales.execute(CREATE, &[]).await?;
        want(count(&mut sales).await? == 1, "no user")?;
        batch(&mut sales, "ROLLBACK").await?;
        want(count(&mut sales).await? == 0, "a user")
    })
    .await;
    run("commit", async {
        batch(&mut sales, "BEGIN TRAN").await?;
        sales.execute(CREATE, &[]).await?;
        batch(&mut sales, "COMMIT").await?;
        want(count(&mut sales).await? == 1, "no user")?;
        batch(&mut sales, DROP).await
    })
    .await;
    run("denied", async {
        let text = "The SELECT permission was denied on the object 'orders', database 'reports', schema 'dbo'.";
        fails("reports", "SELECT * FROM dbo.orders", 229, text).await
    })
    .await;
    run("nobody", async { fails("stock", "SELECT 1", 18456, LOGIN_FAILED).await }).await;
    done()
}
