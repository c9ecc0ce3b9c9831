//! PostgreSQL: what `data.url` may say, what every session is set to, and what the operator can do when it fails.
//!
//! Nothing relied on here is left to the server's defaults: a role, a database or `postgresql.conf` may carry others. So
//! every connection sets its isolation level, its time limits and its durability itself, right after it is made.

use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Executor};

use super::error::{Result, StoreError};
use super::sql::Columns;

/// Writers wait for each other's row locks, so they may be more than the cores.
pub(super) const WRITERS: u32 = 12;
/// A pool of their own, so that a writer that reads in between never waits for another writer to give a connection back.
pub(super) const READERS: u32 = 4;
/// A request that waits longer for a connection is better told so, also when the server is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// For writing. READ COMMITTED is the level the store is written for, see [`super`]: a stricter one would fail where
/// writers of one row are meant to wait in line. A dead gateway's locks go after 60 s, whether or not its machine still
/// answers; what was answered is on disk, as it is with SQLite.
const WRITING: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
     SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; \
     SET client_min_messages = 'warning'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// For reading. What takes several statements (a call, its offers, its legs) is of one moment, as a reader of SQLite's WAL
/// sees it; a transaction that only reads cannot fail at this level.
const READING: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
     SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";

/// What the driver understands; anything else it would log with its value and ignore.
const PARAMETERS: [&str; 13] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Writing,
    Reading,
}

/// A database on a PostgreSQL server.
#[derive(Clone)]
pub(super) struct Server {
    /// With the password.
    options: AnyConnectOptions,
    /// Host, port and database, for sentences.
    name: String,
}

impl Server {
    /// Reads a URL `postgres://USER:PASSWORD@HOST:PORT/DATABASE?PARAMETERS`.
    ///
    /// # Errors
    /// [`StoreError::Url`], without any part of the URL that may be or hold a password.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let refused = |why: &str| StoreError::Url(why.to_owned());
        let unreadable = |source: sqlx::Error| {
            let why = match source {
                sqlx::Error::Configuration(why) => why.to_string(),
                other => other.to_string(),
            };
            StoreError::Url(format!(
                "it cannot be read as postgres://USER:PASSWORD@HOST:PORT/DATABASE ({why}); inside a name or a password \
                 write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25"
            ))
        };
        let mut options: AnyConnectOptions = url.parse().map_err(unreadable)?;
        let parsed: PgConnectOptions = url.parse().map_err(unreadable)?;
        let url = &mut options.database_url;
        if url.query_pairs().any(|(key, _)| !PARAMETERS.contains(&&*key) && !key.starts_with("options[")) {
            return Err(refused(&format!("it has an unknown parameter; there are {}", PARAMETERS.join(", "))));
        }
        if url.fragment().is_some() {
            return Err(refused("write # as %23"));
        }
        let named = url.path().len() > 1 || url.query_pairs().any(|(key, _)| key == "dbname");
        let (true, Some(database)) = (named, parsed.get_database()) else {
            return Err(refused("it names no database: write postgres://…/DATABASE"));
        };
        let host = parsed.get_socket().map_or_else(|| parsed.get_host().to_owned(), |path| path.display().to_string());
        let name = format!("postgres://{host}:{}/{database}", parsed.get_port());
        if parsed.get_application_name().is_none() {
            url.query_pairs_mut().append_pair("application_name", "tandem");
        }
        Ok(Self { options, name })
    }

    /// Host, port and database.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// One connection of its own.
    ///
    /// # Errors
    /// [`StoreError::Server`] with what to do.
    pub(super) async fn connect(&self) -> Result<AnyConnection> {
        sqlx::any::install_default_drivers();
        let connected = tokio::time::timeout(ACQUIRE_TIMEOUT, async {
            let mut connection = self.options.connect().await?;
            connection.execute(WRITING).await?;
            Ok(connection)
        });
        let timed_out = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        connected.await.unwrap_or_else(|_| timed_out()).map_err(|source| self.error(source))
    }

    /// Connections made as they are needed, and made anew when the server was away.
    pub(super) async fn pool(&self, purpose: Use) -> Result<AnyPool> {
        let (most, settings) = match purpose {
            Use::Writing => (WRITERS, WRITING),
            Use::Reading => (READERS, READING),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A connection the server or a firewall has cut is noticed here and not by the request that gets it.
            .test_before_acquire(true)
            .after_connect(move |connection, _| Box::pin(async move { connection.execute(settings).await.map(drop) }));
        pool.connect_with(self.options.clone()).await.map_err(|source| self.error(source))
    }

    /// Text must come back as it went in, whatever the script.
    pub(super) async fn expect_utf8(&self, connection: &mut AnyConnection) -> Result<()> {
        let row = sqlx::query("SELECT current_setting('server_encoding') AS encoding").fetch_one(connection).await?;
        match row.text("encoding")?.as_str() {
            "UTF8" => Ok(()),
            other => Err(StoreError::Url(format!(
                "the database {} is encoded in {other} and cannot hold every name: make one with \
                 `createdb --template=template0 --encoding=UTF8`",
                self.name
            ))),
        }
    }

    /// The failure with what can be done about it.
    pub(super) fn error(&self, source: sqlx::Error) -> StoreError {
        StoreError::Server { name: self.name.clone(), advice: advice(&source), source }
    }
}

const TLS: &str = "the server's TLS or its certificate does not fit: see sslmode and sslrootcert in data.url";

fn advice(error: &sqlx::Error) -> &'static str {
    let code = error.as_database_error().and_then(|e| e.code());
    // https://www.postgresql.org/docs/current/errcodes-appendix.html
    match (code.as_deref(), error) {
        (Some("28P01" | "28000"), _) => {
            "the server refuses this user or this password: correct data.url, or let the user in (CREATE ROLE … LOGIN, pg_hba.conf)"
        }
        (Some("3D000"), _) => {
            "there is no such database: make it with `createdb --encoding=UTF8 --owner=USER DATABASE`"
        }
        (Some("42501"), _) => {
            "the user may not make tables there: give it the database with `ALTER DATABASE … OWNER TO …`"
        }
        (Some("53300"), _) => "the server has no connection left: raise its max_connections, a gateway uses up to 17",
        (Some("57P03"), _) => "the server is just starting or stopping: try again in a moment",
        // rustls wraps what it dislikes of a certificate into an I/O error of this kind.
        (_, sqlx::Error::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => TLS,
        (_, sqlx::Error::Tls(_)) => TLS,
        (_, sqlx::Error::Io(_)) => {
            "no PostgreSQL answers there: start it, or correct host and port in data.url; is a firewall between?"
        }
        _ => "PostgreSQL does not do what a Tandem database needs",
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

const _: () = assert!(WRITERS + READERS + 1 == 17, "the advice names how many connections a gateway uses");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{self, Database, T0};
    use crate::store::{Store, check_url};

    async fn refusal(url: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let error = Store::open(url, dir.path()).await.expect_err("must be refused");
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}\n{error:?}")
    }

    #[test]
    fn a_url_is_read_or_refused_with_a_sentence_and_never_with_its_password() {
        for (url, want) in [
            ("postgres://tandem:hunter2@db.example.com/tandem", "postgres://db.example.com:5432/tandem"),
            ("postgresql://tandem@db:6000/tandem?password=hunter2&sslmode=require", "postgres://db:6000/tandem"),
            ("postgres://tandem:hunter2%40%2F@[::1]:6000/t", "postgres://[::1]:6000/t"),
            ("postgres://tandem:hunter2@/tandem?host=/run/postgresql", "cannot be read"),
            ("postgres://tandem@localhost/tandem?host=/run/postgresql", "postgres:///run/postgresql:5432/tandem"),
            ("postgres://tandem:hunter2/x@db/tandem", "%2F"),
            ("postgres://tandem:hunter2@db:70000/tandem", "invalid port"),
            ("postgres://tandem:hunter2@db/tandem?pasword=hunter2", "unknown parameter; there are sslmode"),
            ("postgres://tandem:hunter2@db/tandem?sslmode=perhaps", "`ssl_mode`"),
            ("postgres://tandem:hunter2@db/tandem#hunter2", "%23"),
            ("postgres://tandem:hunter2@db", "names no database"),
            ("postgres://tandem:hunter2@db/", "names no database"),
            ("postgres://", "names no database"),
        ] {
            let says = match Server::parse(url) {
                Ok(server) => format!("{} {server:?}", server.name()),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(says.contains(want) && !says.contains("hunter2"), "{url}: {says}");
        }
        assert!(check_url("postgres://tandem:hunter2@db/tandem").is_ok());
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_server_is_told_with_what_to_do() {
        let database = Database::create().await;
        let (url, name) = (database.url(), &database.name);
        let latin =
            Database::create_with("TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'").await;
        let guest = format!("guest_{name}");
        database.administer(&format!("CREATE ROLE {guest} LOGIN PASSWORD 'hunter2'")).await;
        let (_, address) = url.rsplit_once('@').unwrap();
        for (url, want) in [
            (
                "postgres://tandem:hunter2@127.0.0.1:1/tandem".to_owned(),
                "127.0.0.1:1/tandem: no PostgreSQL answers there",
            ),
            (format!("postgres://postgres:hunter2@{address}"), "refuses this user or this password"),
            (format!("postgres://nobody:hunter2@{address}"), "refuses this user or this password"),
            (format!("{url}_not"), "createdb --encoding=UTF8"),
            (format!("postgres://{guest}:hunter2@{address}"), "ALTER DATABASE"),
            (format!("{url}?sslmode=require"), "sslmode"),
            (latin.url(), "encoded in SQL_ASCII"),
        ] {
            let says = refusal(&url).await;
            assert!(says.contains(want) && !says.contains("hunter2"), "{want}: {says}");
        }
    }

    #[tokio::test]
    async fn every_connection_sets_what_the_store_relies_on_whatever_the_server_defaults_to() {
        let t = fixture::postgres().await;
        for (pool, want) in [
            (&t.store.writer, "read committed, off, on, tandem"),
            (&t.store.reader, "repeatable read, on, off, tandem"),
        ] {
            let row = sqlx::query(
                "SELECT current_setting('transaction_isolation') || ', ' || current_setting('transaction_read_only') \
                 || ', ' || current_setting('synchronous_commit') || ', ' || current_setting('application_name') AS is",
            )
            .fetch_one(pool)
            .await
            .unwrap();
            assert_eq!(row.text("is").unwrap(), want);
        }
    }

    #[tokio::test]
    async fn a_store_whose_server_goes_away_fails_meanwhile_and_works_again_afterwards() {
        let t = fixture::postgres().await;
        let event = || {
            vec![crate::model::event::NewEvent {
                kind: "x",
                call_id: None,
                agent_id: None,
                data: serde_json::Value::Null,
            }]
        };
        assert_eq!(t.store.append(event(), T0).await.unwrap()[0].seq, 1);
        let database = t.database().expect("it is on PostgreSQL");
        // Half a transaction goes with its connection.
        let mut tx = t.store.writer.begin().await.unwrap();
        sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'events'").execute(&mut *tx).await.unwrap();
        database.go_away().await;
        assert!(tx.commit().await.is_err());
        assert!(t.store.append(event(), T0).await.is_err());
        assert!(t.store.ping().await.is_err());
        database.come_back().await;
        assert_eq!(t.store.append(event(), T0).await.unwrap()[0].seq, 2, "nothing of what failed is there");
        t.store.ping().await.unwrap();

        // Cut while nobody was looking: the next request gets a connection that works.
        let idle = futures_util::future::try_join_all((0..WRITERS).map(|_| t.store.writer.acquire())).await.unwrap();
        drop(idle);
        database.throw_out("true").await;
        assert_eq!(t.store.append(event(), T0).await.unwrap()[0].seq, 3);
        assert_eq!(t.store.events_after(0, 10).await.unwrap().len(), 3);
    }
}
