//! Who is who between gateway and worker: certificates, pins, and the settings of the QUIC connections.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::aws_lc_rs::digest;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::config::read_pin;
use super::{Config, WorkerConfig, control, durable, roq};

/// A silent path is told dead after this: three lost keep-alives. Until then a call's copy goes nowhere.
const IDLE_MAX: Duration = Duration::from_secs(4);
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Datagrams waiting to be sent; the tap refuses long before (see `link`), this is the brim.
pub(super) const SEND_BUFFER: usize = 1 << 20;

/// Datagrams waiting to be read: a second of 1,000 calls may queue up behind a busy machine.
const RECEIVE_BUFFER: usize = 8 << 20;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{key}: cannot read {}", .path.display())]
    File {
        key: &'static str,
        path: PathBuf,
        #[source]
        cause: rustls::pki_types::pem::Error,
    },
    #[error("{key}: {} holds no certificate: it must be PEM", .path.display())]
    Empty { key: &'static str, path: PathBuf },
    #[error("{key}: {} cannot be used", .path.display())]
    Unusable {
        key: &'static str,
        path: PathBuf,
        #[source]
        cause: rustls::Error,
    },
    #[error("cannot keep the worker's certificate in {}: make the folder writable for this user", .path.display())]
    Keep {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// The gateway's two ways of connecting to a worker.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub(super) control: ClientConfig,
    pub(super) media: ClientConfig,
}

/// # Errors
/// [`TlsError`] naming the file.
pub(super) fn clients(config: &Config) -> Result<Clients, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    if !config.ca_file.as_os_str().is_empty() {
        let (key, path) = ("fork.ca_file", &config.ca_file);
        for authority in certificates(key, path)? {
            let unusable = |cause| TlsError::Unusable { key, path: path.clone(), cause };
            roots.add(authority).map_err(unusable)?;
        }
    }
    let pins = config.pins.iter().filter_map(|pin| read_pin(pin)).collect();
    let verifier = Arc::new(Verifier::new(roots, pins, Arc::clone(&provider)));
    let make = |alpn: Vec<Vec<u8>>| {
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        tls.alpn_protocols = alpn;
        let crypto = QuicClientConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite");
        let mut client = ClientConfig::new(Arc::new(crypto));
        client.transport_config(transport());
        client
    };
    Ok(Clients {
        control: make(vec![control::ALPN.to_vec()]),
        media: make(roq::ALPN_ACCEPTED.map(<[u8]>::to_vec).to_vec()),
    })
}

/// The worker's side, and the SHA-256 of its certificate for the gateways' pins.
///
/// # Errors
/// [`TlsError`] naming the file.
pub(super) fn server(config: &WorkerConfig, data_dir: &Path) -> Result<(ServerConfig, String), TlsError> {
    let (chain, key, path) = match config.cert_file.as_os_str().is_empty() {
        false => {
            let chain = certificates("worker.cert_file", &config.cert_file)?;
            let file = |cause| TlsError::File { key: "worker.key_file", path: config.key_file.clone(), cause };
            (chain, PrivateKeyDer::from_pem_file(&config.key_file).map_err(file)?, config.key_file.clone())
        }
        true => {
            let (cert, key) = own_certificate(data_dir)?;
            (vec![cert], key, data_dir.join(OWN_KEY))
        }
    };
    let fingerprint = hex::encode(fingerprint(&chain[0]));
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|cause| TlsError::Unusable { key: "worker.key_file", path, cause })?;
    tls.alpn_protocols = [control::ALPN].into_iter().chain(roq::ALPN_ACCEPTED).map(<[u8]>::to_vec).collect();
    let crypto = QuicServerConfig::try_from(tls).expect("the provider has QUIC's initial cipher suite");
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(transport());
    Ok((server, fingerprint))
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE_MAX).expect("4 s are few milliseconds")))
        .datagram_send_buffer_size(SEND_BUFFER)
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER))
        // One for the control messages; RoQ knows none.
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(16));
    Arc::new(transport)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |cause| TlsError::File { key, path: path.to_owned(), cause };
    let chain = CertificateDer::pem_file_iter(path).map_err(file)?.collect::<Result<Vec<_>, _>>().map_err(file)?;
    if chain.is_empty() {
        return Err(TlsError::Empty { key, path: path.to_owned() });
    }
    Ok(chain)
}

const OWN_CERT: &str = "worker-cert.der";
const OWN_KEY: &str = "worker-key.der";

/// The certificate this worker made for itself, now or long ago. Nobody but a pin can vouch for it.
fn own_certificate(dir: &Path) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let (cert, key) = (dir.join(OWN_CERT), dir.join(OWN_KEY));
    let keep = |path: &Path| {
        let path = path.to_owned();
        move |cause| TlsError::Keep { path, cause }
    };
    if !key.exists() || !cert.exists() {
        let made = rcgen::generate_simple_self_signed(vec!["tandem-worker".to_owned()])?;
        std::fs::create_dir_all(dir).map_err(keep(dir))?;
        durable::write(&key, &made.signing_key.serialize_der()).map_err(keep(&key))?;
        durable::write(&cert, made.cert.der()).map_err(keep(&cert))?;
    }
    let key_bytes = std::fs::read(&key).map_err(keep(&key))?;
    let cert_bytes = std::fs::read(&cert).map_err(keep(&cert))?;
    Ok((CertificateDer::from(cert_bytes), PrivatePkcs8KeyDer::from(key_bytes).into()))
}

fn fingerprint(cert: &CertificateDer<'_>) -> [u8; 32] {
    digest::digest(&digest::SHA256, cert).as_ref().try_into().expect("SHA-256 is 32 bytes")
}

/// A worker's certificate is good when it is pinned, or when the given authority signed it for the worker's host.
#[derive(Debug)]
struct Verifier {
    pins: Vec<[u8; 32]>,
    /// `None` without an authority: only pins count.
    authority: Option<Arc<rustls::client::WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(roots: RootCertStore, pins: Vec<[u8; 32]>, provider: Arc<CryptoProvider>) -> Self {
        let builder =
            rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Self { pins, authority: builder.build().ok(), provider }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pins.contains(&fingerprint(end_entity)) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.authority {
            Some(authority) => authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
