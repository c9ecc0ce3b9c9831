//! Opening and closing the listeners.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// Why a door does not open. One sentence each, with the key to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    #[error("{key}: {address} is in use by another program; stop it or choose another port")]
    Busy { key: &'static str, address: SocketAddr },
    #[error("{key}: cannot listen on {address}")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{key}: cannot use {}", path.display())]
    Certificate {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("http.tls_cert_file and http.tls_key_file do not belong together, or the key is of no use")]
    Mismatch(#[source] rustls::Error),
    #[error("the listener failed")]
    Failed(#[source] io::Error),
}

/// A bound port, not yet served. Binding is apart from serving, so that a busy port is known at start.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// The address as bound; differs from the configured one when that left the port to the system.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({})", self.address)
    }
}

/// Binds a port; `key` is the configuration key it comes from.
///
/// # Errors
/// [`ServeError::Busy`] or [`ServeError::Listen`].
pub fn bind(key: &'static str, address: SocketAddr) -> Result<Door, ServeError> {
    let opened = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    match opened {
        Ok((address, listener)) => Ok(Door { listener, address }),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ServeError::Busy { key, address }),
        Err(source) => Err(ServeError::Listen { key, address, source }),
    }
}

/// A certificate and its key, read again when their files change.
#[derive(Clone, Debug)]
pub struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    config: RustlsConfigBox,
}

/// `RustlsConfig` without its own `Debug`.
#[derive(Clone)]
struct RustlsConfigBox(RustlsConfig);

impl fmt::Debug for RustlsConfigBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustlsConfig")
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`ServeError::Certificate`] naming the file, or [`ServeError::Mismatch`].
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, ServeError> {
        let config = RustlsConfig::from_config(Arc::new(server_config(cert_file, key_file)?));
        Ok(Self { cert_file: cert_file.to_owned(), key_file: key_file.to_owned(), config: RustlsConfigBox(config) })
    }

    /// Reads the files again; on any error the old certificate stays.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn reload(&self) -> Result<(), ServeError> {
        let fresh = server_config(&self.cert_file, &self.key_file)?;
        self.config.0.reload_from_config(Arc::new(fresh));
        Ok(())
    }

    /// Looks at the files now and then, and reloads when one has changed.
    async fn watch(self) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            let stamp = self.stamp();
            if stamp == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    tracing::info!(cert_file = %self.cert_file.display(), "certificate reloaded");
                    seen = stamp;
                }
                // Perhaps half written: looked at again next time.
                Err(error) => tracing::warn!(%error, "the certificate changed but cannot be used; the old one stays"),
            }
        }
    }

    fn stamp(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.cert_file, &self.key_file].map(|path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }
}

/// Certificates change every few weeks; ten seconds after is soon.
const WATCH_EVERY: Duration = Duration::from_secs(10);

fn server_config(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, ServeError> {
    let bad = |key: &'static str, path: &Path, source: Box<dyn std::error::Error + Send + Sync>| {
        ServeError::Certificate { key, path: path.to_owned(), source }
    };
    let chain = CertificateDer::pem_file_iter(cert_file)
        .and_then(|items| items.collect::<Result<Vec<_>, _>>())
        .map_err(|error| bad("http.tls_cert_file", cert_file, error.into()))?;
    if chain.is_empty() {
        return Err(bad("http.tls_cert_file", cert_file, "there is no certificate in it".into()));
    }
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad("http.tls_key_file", key_file, error.into()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ServeError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(ServeError::Mismatch)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A client that has not sent its headers by then is holding the connection open.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(15);

/// Requests in flight get this long to end.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);

/// Serves until `shutdown`, then cancels `closing` (which ends event streams) and waits for requests in
/// flight, at most 5 s.
///
/// # Errors
/// [`ServeError::Failed`] when the listener breaks.
pub async fn serve(
    door: Door,
    router: Router,
    tls: Option<Tls>,
    closing: CancellationToken,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(door.listener)
        .map_err(ServeError::Failed)?
        .handle(handle.clone())
        .first_request_timeout(HEADERS_TIME_MAX)
        .http1_only();
    server.http_builder().http1().header_read_timeout(HEADERS_TIME_MAX);
    let close = async move {
        shutdown.await;
        closing.cancel();
        handle.graceful_shutdown(Some(CLOSING_TIME_MAX));
    };
    let closer = tokio::spawn(close);
    let service = router.into_make_service();
    let served = match tls {
        None => server.serve(service).await,
        Some(tls) => {
            let watcher = tokio::spawn(tls.clone().watch());
            let acceptor = RustlsAcceptor::new(tls.config.0.clone());
            let served = server.acceptor(acceptor).serve(service).await;
            watcher.abort();
            served
        }
    };
    closer.abort();
    served.map_err(ServeError::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (&str, &str) = (include_str!("tests/a.cert.pem"), include_str!("tests/a.key.pem"));
    const B: (&str, &str) = (include_str!("tests/b.cert.pem"), include_str!("tests/b.key.pem"));

    fn write(dir: &Path, (cert, key): (&str, &str)) -> (PathBuf, PathBuf) {
        let paths = (dir.join("cert.pem"), dir.join("key.pem"));
        std::fs::write(&paths.0, cert).unwrap();
        std::fs::write(&paths.1, key).unwrap();
        paths
    }

    /// Whether a client that trusts this certificate alone is served.
    async fn trusts(address: SocketAddr, cert: &str) -> bool {
        let root = reqwest::Certificate::from_pem(cert.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
        client.get(format!("https://{address}/")).send().await.is_ok()
    }

    #[test]
    fn a_busy_port_is_one_clear_line() {
        let first = bind("http.listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let error = bind("http.listen", first.address()).unwrap_err();
        let want =
            format!("http.listen: {} is in use by another program; stop it or choose another port", first.address());
        assert_eq!(error.to_string(), want);
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = write(dir.path(), (A.0, B.1));
        for (cert, key, want) in [
            (&cert, &key, "do not belong together"),
            (&key, &key, "http.tls_cert_file: cannot use"),
            (&cert, &cert, "http.tls_key_file: cannot use"),
            (&dir.path().join("none.pem"), &key, "http.tls_cert_file: cannot use"),
        ] {
            let error = Tls::load(cert, key).unwrap_err().to_string();
            assert!(error.contains(want), "{want}: {error}");
        }
    }

    #[tokio::test]
    async fn a_changed_certificate_is_served_without_a_restart_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = write(dir.path(), A);
        let tls = Tls::load(&cert, &key).unwrap();
        let door = bind("http.listen", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = door.address();
        let router = Router::new().route("/", axum::routing::get(|| async { "here" }));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let closing = CancellationToken::new();
        let server = tokio::spawn(serve(door, router, Some(tls.clone()), closing.clone(), async {
            let _ = stopped.await;
        }));
        assert_eq!((trusts(address, A.0).await, trusts(address, B.0).await), (true, false));

        std::fs::write(&cert, "half writ").unwrap();
        assert!(tls.reload().is_err());
        assert!(trusts(address, A.0).await);

        write(dir.path(), B);
        tls.reload().unwrap();
        assert_eq!((trusts(address, A.0).await, trusts(address, B.0).await), (false, true));

        drop(stop);
        server.await.unwrap().unwrap();
        assert!(closing.is_cancelled());
    }
}
