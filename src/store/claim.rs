//! One gateway to a database: two would end each other's calls.
//!
//! On SQLite it is a lock on a file beside the database. On PostgreSQL it is an advisory lock of the session, held on a
//! connection of its own, so that it goes with the gateway however that ends; programs that only make a key need none.
//! When the connection breaks, the lock is gone: the gateway takes it again as soon as the server is back, and gives up if
//! another gateway was quicker. That is noticed within [`CHECK_EVERY`]; until then both believe they are alone. A pooler in
//! between must therefore not share sessions (PgBouncer: `pool_mode = session`).

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::AnyConnection;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::error::{Result, StoreError};
use super::open::{Place, file_error};
use super::postgres::Server;
use super::sql::Columns;

/// How often the lock's connection is looked at, and a lost one sought again.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// A gateway killed just now may need a moment to leave.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// `TAND` in ASCII, 1: of the two-part keys, which do not meet the one-part keys the migrations lock with.
const TAKE: &str = "SELECT CASE WHEN pg_try_advisory_lock(1413566020, 1) THEN 1::BIGINT ELSE 0::BIGINT END AS taken, \
     pg_backend_pid()::BIGINT AS pid";
const HOLDER: &str = "SELECT a.pid::BIGINT AS pid, COALESCE(host(a.client_addr), 'the server''s own machine') AS place \
     FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_database d ON d.oid = l.database \
     WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted \
     AND l.classid = 1413566020 AND l.objid = 1 AND l.objsubid = 2";

/// The right to be the only gateway on a database, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    held: Held,
}

#[derive(Debug)]
enum Held {
    File { _lock: File },
    Session { keeper: AbortHandle, lost: oneshot::Receiver<StoreError> },
}

impl Claim {
    /// Claims a database for this gateway.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another gateway has it.
    pub(super) async fn take(place: &Place) -> Result<Self> {
        let held = match place {
            Place::File(path) => Held::File { _lock: lock_file(path)? },
            Place::Server(server) => {
                let session = Session::open(server.clone(), PATIENCE).await?;
                let (tell, lost) = oneshot::channel();
                let keeper = tokio::spawn(async move {
                    // Nobody listens any more when the gateway is on its way out.
                    let _ = tell.send(session.keep().await);
                });
                Held::Session { keeper: keeper.abort_handle(), lost }
            }
        };
        Ok(Self { held })
    }

    /// Comes back only if the claim was lost to another gateway, with the error that says so.
    pub async fn lost(&mut self) -> StoreError {
        if let Held::Session { lost, .. } = &mut self.held
            && let Ok(error) = lost.await
        {
            return error;
        }
        std::future::pending().await
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Held::Session { keeper, .. } = &self.held {
            keeper.abort();
        }
    }
}

/// A connection that holds the lock.
pub(super) struct Session {
    server: Server,
    connection: AnyConnection,
    /// The server's process at the other end.
    pid: i64,
}

enum Attempt {
    Taken(Session),
    HeldBy { pid: i64, place: String },
}

impl Session {
    /// Takes the lock, trying for this long.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when somebody holds it all the time.
    pub(super) async fn open(server: Server, patience: Duration) -> Result<Self> {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            match Self::attempt(&server).await? {
                Attempt::Taken(session) => return Ok(session),
                Attempt::HeldBy { place, .. } if tokio::time::Instant::now() >= give_up => {
                    return Err(in_use(&server, place));
                }
                Attempt::HeldBy { .. } => tokio::time::sleep(RETRY_EVERY).await,
            }
        }
    }

    async fn attempt(server: &Server) -> Result<Attempt> {
        let mut connection = server.connect().await?;
        let row = sqlx::query(TAKE).fetch_one(&mut connection).await?;
        if row.flag("taken")? {
            let pid = row.int("pid")?;
            return Ok(Attempt::Taken(Self { server: server.clone(), connection, pid }));
        }
        // Whoever held it may have left between the two questions; then the next attempt succeeds.
        let holder = sqlx::query(HOLDER).fetch_optional(&mut connection).await?;
        let (pid, place) = match holder {
            Some(row) => (row.int("pid")?, row.text("place")?),
            None => (0, "an unknown place".to_owned()),
        };
        Ok(Attempt::HeldBy { pid, place })
    }

    /// Watches over the lock until another gateway has it.
    async fn keep(mut self) -> StoreError {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let asked = sqlx::query("SELECT 1").execute(&mut self.connection);
            if !matches!(tokio::time::timeout(CHECK_EVERY, asked).await, Ok(Ok(_))) {
                tracing::warn!(database = self.server.name(), "the database is away; trying until it is back");
                match self.again().await {
                    Ok(session) => self = session,
                    Err(error) => return error,
                }
                tracing::info!(database = self.server.name(), "the database is back");
            }
        }
    }

    async fn again(self) -> Result<Self> {
        let Self { server, connection, pid: former } = self;
        drop(connection);
        loop {
            match Self::attempt(&server).await {
                Ok(Attempt::Taken(session)) => return Ok(session),
                // Our own former session, whose end the server has not noticed yet, or somebody gone already.
                Ok(Attempt::HeldBy { pid, .. }) if pid == former || pid == 0 => {}
                Ok(Attempt::HeldBy { place, .. }) => return Err(in_use(&server, place)),
                Err(error) => tracing::debug!(%error, "the database is still away"),
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }
}

fn in_use(server: &Server, place: String) -> StoreError {
    StoreError::InUse { name: server.name().to_owned(), place: format!(", connected from {place}") }
}

fn lock_file(database: &Path) -> Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push("-gateway");
    let path = Path::new(&path);
    let failed = |source| file_error("lock", path, source);
    let lock = File::options().create(true).write(true).truncate(false).open(path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::InUse { name: database.display().to_string(), place: String::new() })
        }
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::access::Scope;
    use crate::store::Store;
    use crate::store::fixture::{self, Fixture, T0, on_both};

    /// On the fixture's database, in its own folder or in another.
    async fn gateway(t: &Fixture, dir: &Path) -> Result<(Store, Claim)> {
        Store::open_claimed(t.url(), dir).await
    }

    on_both!(a_database_is_claimed_once_and_a_key_is_made_beside_it);
    async fn a_database_is_claimed_once_and_a_key_is_made_beside_it(t: Fixture) {
        let first = gateway(&t, t.dir()).await.unwrap();
        let says = gateway(&t, t.dir()).await.unwrap_err().to_string();
        assert!(says.contains("is in use by another tandem") && says.contains("stop it"), "{says}");
        let beside = Store::open(t.url(), t.dir()).await.unwrap();
        beside.create_key("crm", &[Scope::CallsRead], T0).await.unwrap();
        drop(first);
        gateway(&t, t.dir()).await.expect("it is free again");
    }

    #[tokio::test]
    async fn a_gateway_in_another_folder_is_told_of_the_first_one_and_not_that_its_key_file_is_lost() {
        let t = fixture::postgres().await;
        t.store.put_number(&fixture::number(), Some("EAAG")).await.unwrap();
        let _first = gateway(&t, t.dir()).await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let says = gateway(&t, elsewhere.path()).await.unwrap_err().to_string();
        assert!(says.contains("in use by another tandem, connected from 127.0.0.1"), "{says}");
    }

    #[tokio::test]
    async fn two_folders_with_one_sqlite_file_are_one_database() {
        let t = fixture::open().await;
        let _first = gateway(&t, t.dir()).await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", t.dir().join("tandem.sqlite3").display());
        let refused = Store::open_claimed(&url, elsewhere.path()).await.map(drop);
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    }

    async fn holder(t: &Fixture) -> Option<i64> {
        let row = sqlx::query(HOLDER).fetch_optional(&t.store.reader).await.ok()?;
        row.map(|row| row.int("pid").unwrap())
    }

    /// Waits until somebody else than `former` holds the claim.
    async fn next_holder(t: &Fixture, former: i64) -> i64 {
        let found = async {
            loop {
                match holder(t).await {
                    Some(pid) if pid != former => return pid,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is taken again")
    }

    #[tokio::test]
    async fn a_claim_whose_connection_breaks_is_taken_again() {
        let t = fixture::postgres().await;
        let (_gateway, mut claim) = gateway(&t, t.dir()).await.unwrap();
        let database = t.database().unwrap();
        let first = holder(&t).await.unwrap();
        database.throw_out(&format!("pid = {first}")).await;
        let second = next_holder(&t, first).await;
        database.go_away().await;
        database.come_back().await;
        next_holder(&t, second).await;
        let still = tokio::time::timeout(Duration::from_millis(1), claim.lost()).await;
        assert!(still.is_err(), "it was never another's: {still:?}");
    }

    #[tokio::test]
    async fn a_claim_that_another_gateway_took_meanwhile_is_lost() {
        let t = fixture::postgres().await;
        let (_gateway, mut claim) = gateway(&t, t.dir()).await.unwrap();
        let first = holder(&t).await.unwrap();
        let whom = format!("pid = {first}");
        let (taken, ()) = tokio::join!(gateway(&t, t.dir()), t.database().unwrap().throw_out(&whom));
        let taken = taken.expect("the one who waits is quicker than the one who looks every few seconds");
        let lost = tokio::time::timeout(Duration::from_secs(60), claim.lost()).await.expect("it is noticed");
        assert!(matches!(lost, StoreError::InUse { .. }), "{lost:?}");
        drop(taken);
    }
}
