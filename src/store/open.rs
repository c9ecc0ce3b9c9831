//! Opening: the folder, the file, the connections, the schema.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection, Executor, SqlStr};

use super::claim::{Claim, Session};
use super::error::{Result, StoreError};
use super::postgres::{Server, Use};
use super::secret_key::SecretKey;
use super::sql::Columns;
use super::{Store, Terms};

/// The schema, one entry per version. What is released is never edited, only followed.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "start", include_str!("migrations/0001_start.sql")),
    (2, "policy", include_str!("migrations/0002_policy.sql")),
    (3, "sound", include_str!("migrations/0003_sound.sql")),
    (4, "keeping", include_str!("migrations/0004_keeping.sql")),
    (5, "documented", include_str!("migrations/0005_documented.sql")),
    (6, "sign_in", include_str!("migrations/0006_sign_in.sql")),
    (7, "notes", include_str!("migrations/0007_notes.sql")),
    (8, "readiness", include_str!("migrations/0008_readiness.sql")),
    (9, "reports", include_str!("migrations/0009_reports.sql")),
    (10, "push", include_str!("migrations/0010_push.sql")),
    (11, "views", include_str!("migrations/0011_views.sql")),
    (12, "team", include_str!("migrations/0012_team.sql")),
    (13, "profile_names", include_str!("migrations/0013_profile_names.sql")),
    (14, "corrections", include_str!("migrations/0014_corrections.sql")),
];

/// SQLite: lists and single look-ups, a few milliseconds each: more connections than cores only trade places.
const READERS: u32 = 4;
/// A request that waits longer for a connection is better told so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long another start's migration is waited for.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(10);

impl Store {
    /// Opens (and migrates) the database: `url` empty = `<dir>/tandem.sqlite3`. `dir` also holds the key files. For
    /// programs that run beside a gateway for a moment.
    ///
    /// # Errors
    /// The folder or the database cannot be made or opened, the database is of a newer version or none of ours, an older
    /// gateway still runs on it, or the key file does not fit it. Each names the path or the server.
    pub async fn open(url: &str, dir: &Path) -> Result<Self> {
        let dir = prepare_folder(dir)?;
        let place = Place::of(url, &dir)?;
        Self::open_place(&place, &dir, None).await
    }

    /// The same for a gateway, which is to be the only one on its database as long as it holds the claim.
    ///
    /// # Errors
    /// As [`Store::open`], and [`StoreError::InUse`] before anything of the database is touched.
    pub async fn open_claimed(url: &str, dir: &Path) -> Result<(Self, Claim)> {
        let dir = prepare_folder(dir)?;
        let place = Place::of(url, &dir)?;
        let claim = Claim::take(&place).await?;
        let store = Self::open_place(&place, &dir, Some(&claim)).await?;
        Ok((store, claim))
    }

    async fn open_place(place: &Place, dir: &Path, claim: Option<&Claim>) -> Result<Self> {
        let (writer, reader) = match place {
            Place::File(path) => open_file(path).await?,
            Place::Server(server) => open_server(server, claim).await?,
        };
        let key = Arc::new(fitting_key(&writer, dir).await?);
        let terms = Arc::new(RwLock::new(Arc::new(Terms::built_in())));
        Ok(Self { writer, reader, key, terms, terms_change: Arc::default() })
    }

    /// Whether the database answers, on both ways into it.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT value FROM counters WHERE name = 'events'").fetch_one(&self.reader).await?;
        // Takes the writer's turn: fails when writing is stuck behind something.
        sqlx::query("SELECT 1").fetch_one(&self.writer).await?;
        Ok(())
    }

    /// Finishes what is under way and closes the files. Whoever uses the store afterwards gets an error.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// Whether `url` can be `data.url`. Asks no database.
///
/// # Errors
/// [`StoreError::Url`], without the password.
pub fn check_url(url: &str) -> Result<()> {
    Place::of(url, Path::new("data")).map(drop)
}

/// Where the database is.
#[derive(Debug)]
pub(super) enum Place {
    /// SQLite; absolute.
    File(PathBuf),
    Server(Server),
}

impl Place {
    pub(super) fn of(url: &str, dir: &Path) -> Result<Self> {
        let file = |path: &Path| {
            let path = std::path::absolute(path).map_err(|source| file_error("use", path, source))?;
            match path.to_str() {
                Some(_) => Ok(Self::File(path)),
                None => {
                    Err(StoreError::Url(format!("the path {} is not UTF-8: choose another data.dir", path.display())))
                }
            }
        };
        match url.split_once(':') {
            None if url.is_empty() => file(&dir.join("tandem.sqlite3")),
            Some(("sqlite", rest)) => {
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                if rest.is_empty() || rest.contains(['?', '#', '%']) || rest == ":memory:" {
                    return Err(StoreError::Url(
                        "write `sqlite:` and the path of a file, without parameters, or leave it empty".to_owned(),
                    ));
                }
                file(Path::new(rest))
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Server::parse(url).map(Self::Server),
            // Not even the scheme is repeated: `secret@host` has one too.
            _ => Err(StoreError::Url(
                "it must be empty (SQLite in data.dir), `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`"
                    .to_owned(),
            )),
        }
    }
}

async fn open_file(path: &Path) -> Result<(AnyPool, AnyPool)> {
    sqlx::any::install_default_drivers();
    let name = path.display().to_string();
    let alone = prepare_file(path).await?;
    let writer = connect_file(path, false).await?;
    migrate(&mut *writer.acquire().await?, &name).await?;
    drop(alone);
    Ok((writer, connect_file(path, true).await?))
}

async fn connect_file(path: &Path, read_only: bool) -> Result<AnyPool> {
    let text = path.to_str().expect("checked where the place was made");
    let failed = |source| StoreError::Open { name: text.to_owned(), source };
    let options: AnyConnectOptions = format!("sqlite://{}?mode=rwc", percent_encoded(text)).parse().map_err(failed)?;
    let pool = AnyPoolOptions::new()
        .max_connections(if read_only { READERS } else { 1 })
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a file does not go stale: opening and probing it again would only cost time.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                // Another process (`tandem key create`) may hold the lock for a moment.
                connection.execute("PRAGMA busy_timeout = 10000").await?;
                connection.execute("PRAGMA journal_mode = WAL").await?;
                connection.execute("PRAGMA synchronous = FULL").await?;
                connection.execute("PRAGMA foreign_keys = ON").await?;
                if read_only {
                    connection.execute("PRAGMA query_only = ON").await?;
                }
                Ok(())
            })
        })
        // Where the disk is full SQLite ends a transaction by itself. The driver counts it as open for ever, makes
        // savepoints of those that follow, and one of them undone leaves all that is written afterwards uncommitted.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        });
    pool.connect_with(options).await.map_err(failed)
}

/// A first connection tells what is wrong in words; a pool would only say that it waited in vain.
async fn open_server(server: &Server, claim: Option<&Claim>) -> Result<(AnyPool, AnyPool)> {
    let mut connection = server.connect().await?;
    server.expect_utf8(&mut connection).await?;
    let known = MIGRATIONS.last().map_or(0, |m| m.0);
    // Not under the feet of a gateway that runs on the older schema.
    let alone = match claim {
        None if schema_version(&mut connection).await? < known => {
            Some(Session::open(server.clone(), MIGRATION_PATIENCE).await?)
        }
        _ => None,
    };
    migrate(&mut connection, server.name()).await.map_err(|error| allowed(server, error))?;
    drop(alone);
    Ok((server.pool(Use::Writing).await?, server.pool(Use::Reading).await?))
}

/// A user without the right to make tables is the commonest reason why the first migration fails.
fn allowed(server: &Server, error: StoreError) -> StoreError {
    match error {
        StoreError::Migrate {
            source: MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _),
            ..
        } if source.as_database_error().is_some_and(|e| e.code().as_deref() == Some("42501")) => server.error(source),
        error => error,
    }
}

/// The newest migration of a PostgreSQL database; 0 = none yet.
async fn schema_version(connection: &mut AnyConnection) -> Result<i64> {
    let made = sqlx::query(
        "SELECT CAST(count(*) AS BIGINT) AS tables FROM information_schema.tables \
         WHERE table_name = '_sqlx_migrations' AND table_schema = current_schema()",
    )
    .fetch_one(&mut *connection)
    .await?;
    if !made.flag("tables")? {
        return Ok(0);
    }
    let row = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations").fetch_one(connection).await?;
    Ok(row.int_opt("version")?.unwrap_or(0))
}

fn prepare_folder(dir: &Path) -> Result<PathBuf> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| file_error("create the data folder", dir, source))?;
    std::path::absolute(dir).map_err(|source| file_error("use the data folder", dir, source))
}

/// Makes the file with mode 0600 before SQLite would with the process's mask; its WAL takes over the mode. Gives the lock
/// under which this process alone may set up the schema, freed when dropped: sqlx locks nothing on SQLite, and
/// `tandem key create` may be called while the gateway starts.
async fn prepare_file(path: &Path) -> Result<std::fs::File> {
    let failed = |source| file_error("open the database file for writing", path, source);
    let open = |path: &Path, options: &mut std::fs::OpenOptions| options.write(true).mode(0o600).open(path);
    // A file that is there is left to SQLite: closing another handle of it would free SQLite's own locks (POSIX locks
    // belong to process and file, not to the handle).
    match open(path, std::fs::OpenOptions::new().create_new(true)) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(failed(e)),
    }
    let mut name = path.as_os_str().to_owned();
    name.push("-lock");
    let lock = open(Path::new(&name), std::fs::OpenOptions::new().create(true).truncate(false)).map_err(failed)?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
    lock.expect("taking a lock does not panic").map_err(failed)
}

async fn migrate(connection: &mut AnyConnection, name: &str) -> Result<()> {
    let known = MIGRATIONS.last().map_or(0, |m| m.0);
    migrate_to(known, connection, name).await
}

/// To this version of the schema and no further.
pub(super) async fn migrate_to(known: i64, connection: &mut AnyConnection, name: &str) -> Result<()> {
    let migrations = MIGRATIONS
        .iter()
        .take_while(|(version, ..)| *version <= known)
        .map(|&(version, title, sql)| {
            Migration::new(version, title.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
        })
        .collect();
    Migrator::with_migrations(migrations).run_direct(None, connection, false).await.map_err(|source| match source {
        MigrateError::VersionMissing(found) if found > known => {
            StoreError::Newer { name: name.to_owned(), found, known }
        }
        source => StoreError::Migrate { name: name.to_owned(), source },
    })
}

/// The key that opens every sealed token; made anew only where nothing is sealed yet.
async fn fitting_key(writer: &AnyPool, dir: &Path) -> Result<SecretKey> {
    let sealed =
        sqlx::query("SELECT id, graph_token FROM numbers WHERE graph_token IS NOT NULL").fetch_all(writer).await?;
    let key = SecretKey::load(dir, sealed.is_empty())?;
    for row in sealed {
        key.open(&super::directory::token_place(&row.text("id")?), &row.bytes("graph_token")?)?;
    }
    Ok(key)
}

pub(super) fn file_error(verb: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::File { verb, path: path.to_owned(), source }
}

/// RFC 3986 section 2.1, keeping unreserved characters and `/`.
fn percent_encoded(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::fixture::{self, Database, Fixture, on_both};

    async fn refusal(url: &str, dir: &Path) -> String {
        let error = Store::open(url, dir).await.expect_err("must be refused");
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[tokio::test]
    async fn the_first_start_makes_a_private_folder_and_file_and_the_second_finds_them() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a b").join("100%? #né");
        for round in 1..=2 {
            let store = Store::open("", &dir).await.unwrap();
            store.ping().await.unwrap();
            store.close().await;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&dir), mode(&dir.join("tandem.sqlite3"))), (0o700, 0o600), "round {round}");
        }
    }

    #[tokio::test]
    async fn what_is_written_after_sqlite_gave_a_transaction_up_is_committed() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open("", temp.path()).await.unwrap();
        let insert = "INSERT OR ROLLBACK INTO counters (name, value) VALUES ($1, 1)";
        let write = async |name: &'static str| sqlx::query(insert).bind(name).execute(&store.writer).await;
        let seen = "SELECT CAST(count(*) AS BIGINT) FROM counters WHERE name = $1";
        let seen = async |name: &'static str| -> i64 {
            sqlx::query_scalar(seen).bind(name).fetch_one(&store.reader).await.unwrap()
        };
        write("before").await.unwrap();
        let mut tx = store.writer.begin().await.unwrap();
        // As on a full disk: the statement fails, and with it ends the transaction.
        sqlx::query(insert).bind("before").execute(&mut *tx).await.unwrap_err();
        drop(tx);
        store.writer.begin().await.unwrap().rollback().await.unwrap();
        write("after").await.unwrap();
        assert_eq!((seen("before").await, seen("after").await), (1, 1));
        store.close().await;
    }

    #[tokio::test]
    async fn two_processes_may_open_a_new_database_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let opened = futures_util::future::join_all((0..4).map(|_| Store::open("", temp.path()))).await;
        for store in opened {
            store.unwrap().ping().await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_refused_with_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let says = refusal("", &file.join("data")).await;
        assert!(says.contains("create the data folder") && says.contains("file/data"), "{says}");

        let dir = temp.path().join("taken");
        std::fs::create_dir_all(dir.join("tandem.sqlite3")).unwrap();
        let says = refusal("", &dir).await;
        assert!(says.contains("taken/tandem.sqlite3"), "{says}");

        let dir = temp.path().join("alien");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("tandem.sqlite3"), "this is a letter to my aunt, not a database, and long enough")
            .unwrap();
        let says = refusal("", &dir).await;
        assert!(says.contains("alien/tandem.sqlite3") && says.contains("is it a Tandem database"), "{says}");

        for (url, want) in [
            ("mysql://x:hunter2@y/z", "must be empty"),
            ("postgres:tandem", "must be empty"),
            ("sqlite::memory:", "path of a file"),
            ("sqlite:", "path of a file"),
            ("nonsense", "must be empty"),
        ] {
            let says = refusal(url, temp.path()).await;
            assert!(says.contains(want) && !says.contains("hunter2"), "{url}: {says}");
        }
    }

    on_both!(a_database_of_a_newer_version_is_refused_with_a_sentence);
    async fn a_database_of_a_newer_version_is_refused_with_a_sentence(t: Fixture) {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .execute(&t.store.writer)
        .await
        .unwrap();
        let says = refusal(t.url(), t.dir()).await;
        let known = MIGRATIONS.last().unwrap().0;
        assert!(says.contains(&format!("newer Tandem (schema 999, this program knows {known})")), "{says}");
    }

    on_both!(readers_cannot_write_and_foreign_keys_hold);
    async fn readers_cannot_write_and_foreign_keys_hold(t: Fixture) {
        assert!(sqlx::query("DELETE FROM events").execute(&t.store.reader).await.is_err());
        let orphan = "INSERT INTO agent_tokens (sha256, agent_id, expires_at) VALUES ($1, 'agt_nobody', 0)";
        assert!(sqlx::query(orphan).bind(vec![0u8]).execute(&t.store.writer).await.is_err());
    }

    #[tokio::test]
    async fn several_may_open_a_new_postgres_database_at_once() {
        let (database, temp) = (Database::create().await, tempfile::tempdir().unwrap());
        let url = database.url();
        let opened = futures_util::future::join_all((0..4).map(|_| Store::open(&url, temp.path()))).await;
        for store in opened {
            store.unwrap().ping().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_gateway_on_an_older_schema_is_not_migrated_under_its_feet() {
        let t = fixture::postgres().await;
        let claim = Claim::take(&Place::of(t.url(), t.dir()).unwrap()).await.unwrap();
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version > 1").execute(&t.store.writer).await.unwrap();
        let refused = Store::open(t.url(), t.dir()).await.map(drop);
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
        let row = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations").fetch_one(&t.store.reader).await;
        assert_eq!(row.unwrap().int("version").unwrap(), 1, "the running one keeps its schema");
        drop(claim);
    }
}
