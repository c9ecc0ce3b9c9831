//! Opening: the folder, the file, the connections, the schema.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyPool, Executor, SqlStr};

use super::Store;
use super::error::{Result, StoreError};
use super::secret_key::SecretKey;
use super::sql::Columns;

/// The schema, one entry per version. What is released is never edited, only followed.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "start", include_str!("migrations/0001_start.sql"))];

/// Lists and single look-ups, a few milliseconds each: more connections than cores only trade places.
const READERS: u32 = 4;
/// PostgreSQL: writers wait for each other's row locks, so they may be more than the cores.
const POSTGRES_CONNECTIONS: u32 = 16;
/// A request that waits longer for a connection is better told so.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

impl Store {
    /// Opens (and migrates) the database: `url` empty = `<dir>/tandem.sqlite3`. `dir` also holds the key files.
    ///
    /// # Errors
    /// The folder or the file cannot be made or opened, the database is of a newer version or none of ours, or the key
    /// file does not fit it. Each names the path.
    pub async fn open(url: &str, dir: &Path) -> Result<Self> {
        let dir = prepare_folder(dir)?;
        let place = Place::of(url, &dir)?;
        sqlx::any::install_default_drivers();
        let alone = match &place.file {
            Some(path) => Some(prepare_file(path).await?),
            // sqlx takes an advisory lock of its own there.
            None => None,
        };
        let writer = place.connect(false).await?;
        migrate(&writer, &place.name).await?;
        drop(alone);
        let reader = if place.file.is_some() { place.connect(true).await? } else { writer.clone() };
        let key = Arc::new(fitting_key(&writer, &dir).await?);
        Ok(Self { writer, reader, key })
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

/// Where the database is.
struct Place {
    url: String,
    /// For sentences; without credentials.
    name: String,
    /// The file, if it is SQLite.
    file: Option<PathBuf>,
}

impl Place {
    fn of(url: &str, dir: &Path) -> Result<Self> {
        let sqlite = |path: &Path| {
            let path = std::path::absolute(path).map_err(|source| file_error("use", path, source))?;
            let text = path.to_str().ok_or_else(|| {
                StoreError::Url(format!("the path {} is not UTF-8: choose another data.dir", path.display()))
            })?;
            let url = format!("sqlite://{}?mode=rwc", percent_encoded(text));
            Ok(Self { url, name: text.to_owned(), file: Some(path) })
        };
        match url.split_once(':') {
            None if url.is_empty() => sqlite(&dir.join("tandem.sqlite3")),
            Some(("sqlite", rest)) => {
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                if rest.is_empty() || rest.contains(['?', '#', '%']) || rest == ":memory:" {
                    return Err(StoreError::Url(
                        "write `sqlite:` and the path of a file, without parameters, or leave it empty".to_owned(),
                    ));
                }
                sqlite(Path::new(rest))
            }
            Some(("postgres" | "postgresql", rest)) => {
                let host = rest.rsplit('@').next().unwrap_or("").trim_start_matches('/');
                Ok(Self { url: url.to_owned(), name: format!("postgres://{host}"), file: None })
            }
            _ => Err(StoreError::Url("it must be empty, `sqlite:PATH` or `postgres://…`".to_owned())),
        }
    }

    async fn connect(&self, read_only: bool) -> Result<AnyPool> {
        let failed = |source| match source {
            sqlx::Error::Configuration(source) => StoreError::Url(format!("{}: {source}", self.name)),
            source => StoreError::Open { name: self.name.clone(), source },
        };
        let options: AnyConnectOptions = self.url.parse().map_err(failed)?;
        let pool = AnyPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
        let pool = if self.file.is_some() {
            // A connection to a file does not go stale: opening and probing it again would only cost time.
            pool.max_connections(if read_only { READERS } else { 1 })
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
        } else {
            pool.max_connections(POSTGRES_CONNECTIONS)
        };
        pool.connect_with(options).await.map_err(failed)
    }
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

async fn migrate(writer: &AnyPool, name: &str) -> Result<()> {
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, title, sql)| {
            Migration::new(version, title.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
        })
        .collect();
    let known = MIGRATIONS.last().map_or(0, |m| m.0);
    Migrator::with_migrations(migrations).run(writer).await.map_err(|source| match source {
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

fn file_error(verb: &'static str, path: &Path, source: std::io::Error) -> StoreError {
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
    use crate::store::fixture;

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
            ("mysql://x", "must be empty"),
            ("sqlite::memory:", "path of a file"),
            ("sqlite:", "path of a file"),
            ("nonsense", "must be empty"),
        ] {
            let says = refusal(url, temp.path()).await;
            assert!(says.contains(want), "{url}: {says}");
        }
    }

    #[tokio::test]
    async fn a_password_in_the_url_is_in_no_error() {
        let temp = tempfile::tempdir().unwrap();
        let says = refusal("postgres://tandem:hunter2@127.0.0.1:1/tandem", temp.path()).await;
        assert!(!says.contains("hunter2") && says.contains("127.0.0.1:1"), "{says}");
    }

    #[tokio::test]
    async fn a_database_of_a_newer_version_is_refused_with_a_sentence() {
        let t = fixture::open().await;
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .execute(&t.store.writer)
        .await
        .unwrap();
        let says = refusal(t.url(), t.dir()).await;
        assert!(says.contains("newer Tandem (schema 999, this program knows 1)"), "{says}");
    }

    #[tokio::test]
    async fn readers_cannot_write_and_foreign_keys_hold() {
        let t = fixture::open().await;
        assert!(sqlx::query("DELETE FROM events").execute(&t.store.reader).await.is_err());
        let orphan = "INSERT INTO agent_tokens (sha256, agent_id, expires_at) VALUES ($1, 'agt_nobody', 0)";
        assert!(sqlx::query(orphan).bind(vec![0u8]).execute(&t.store.writer).await.is_err());
    }
}
