//! The `[archive]` section: how to get into `recording.store`.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Archive, Inner, Pace};

/// How the store is reached, and how much of the line it may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Of an S3-compatible store, e.g. `https://minio.example.com:9000`. Empty: Amazon's, in `region`.
    pub endpoint: String,
    /// Signed into every request. Stores of others mostly take this one.
    pub region: String,
    pub access_key_id: String,
    /// Holds the secret access key. Empty: the environment gives it.
    pub secret_access_key_file: PathBuf,
    /// Whether `endpoint` may be `http://`: voices would cross the network in the clear.
    pub allow_http: bool,
    /// Recordings under way at once. More would share the same line.
    pub uploads: u32,
    /// What all uploads and their proofs together may take of the line, in Mbit/s; 0 = all there is.
    pub mbit_per_s: u32,
    /// For one request, i.e. 8 MB or an answer. A store that takes longer counts as away.
    pub timeout_s: u64,
    /// A recording is brought back only if so much stays free on the local disk: calls being recorded come first.
    pub keep_free_mb: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            access_key_id: String::new(),
            secret_access_key_file: PathBuf::new(),
            allow_http: false,
            uploads: 2,
            mbit_per_s: 0,
            // 1 Mbit/s is slow for a line that carries calls.
            timeout_s: 60,
            // Two hours of a hundred calls' Opus, ten minutes of their WAVs.
            keep_free_mb: 512,
        }
    }
}

/// A store that cannot be used; each says its key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "recording.store: \"{0}\" is no store: write \"s3://BUCKET\", \"s3://BUCKET/PREFIX\" or \"file:///FOLDER\", or leave it empty"
    )]
    Url(String),
    #[error("archive.access_key_id: recording.store is an S3 store, which wants the id of an access key")]
    NoKey,
    #[error(
        "archive.secret_access_key_file: recording.store is an S3 store, which wants the secret of its access key: name a \
         file, or set TANDEM_ARCHIVE__SECRET_ACCESS_KEY"
    )]
    NoSecret,
    #[error("archive.endpoint: \"{0}\" is no address: write e.g. \"https://minio.example.com:9000\"")]
    Endpoint(String),
    #[error(
        "archive.endpoint: \"{0}\" is not encrypted, and recordings are people's voices: write https://, or set \
         archive.allow_http = true on a network you trust"
    )]
    Http(String),
    #[error("archive.{key}: {value} is out of range: write {range}")]
    Range { key: &'static str, value: u64, range: &'static str },
    #[error("recording.store: {} cannot be used: mount it, and make it writable for this user", .folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: Box<object_store::Error>,
    },
    #[error("recording.store cannot be used")]
    Store(#[source] Box<object_store::Error>),
}

/// What `recording.store` names.
enum Target {
    S3 { bucket: String, prefix: Key },
    Folder(PathBuf),
}

impl Config {
    /// Everything that is wrong with it for this store; `""`: none is wanted.
    pub fn errors(&self, store: &str) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if !(1..=16).contains(&self.uploads) {
            errors.push(ConfigError::Range { key: "uploads", value: self.uploads.into(), range: "1 to 16" });
        }
        if !(1..=600).contains(&self.timeout_s) {
            errors.push(ConfigError::Range { key: "timeout_s", value: self.timeout_s, range: "1 to 600" });
        }
        if !store.is_empty() {
            match target(store) {
                Err(error) => errors.push(error),
                Ok(Target::Folder(_)) => {}
                Ok(Target::S3 { .. }) => {
                    errors.extend(self.access_key_id.is_empty().then_some(ConfigError::NoKey));
                    errors.extend(self.endpoint_error());
                }
            }
        }
        errors
    }

    fn endpoint_error(&self) -> Option<ConfigError> {
        if self.endpoint.is_empty() {
            return None;
        }
        let given = || self.endpoint.clone();
        match reqwest::Url::parse(&self.endpoint) {
            Ok(url) if url.scheme() == "http" && !self.allow_http => Some(ConfigError::Http(given())),
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() => None,
            _ => Some(ConfigError::Endpoint(given())),
        }
    }
}

impl Archive {
    /// The store that `recording.store` names; `None` if it is empty. It is not asked anything yet: one that is away must
    /// not keep the gateway from taking calls.
    ///
    /// # Errors
    /// The first of [`Config::errors`], no secret for an S3 store, or a folder that is not there.
    pub fn open(store: &str, config: &Config, secret: Option<SecretString>) -> Result<Option<Self>, ConfigError> {
        if let Some(error) = config.errors(store).into_iter().next() {
            return Err(error);
        }
        if store.is_empty() {
            return Ok(None);
        }
        let (prefix, parts, opened): (_, _, Arc<dyn ObjectStore>) = match target(store)? {
            Target::S3 { bucket, prefix } => {
                let s3 = Arc::new(config.s3(&bucket, &secret.ok_or(ConfigError::NoSecret)?)?);
                (prefix, Some(Arc::clone(&s3)), s3)
            }
            Target::Folder(folder) => {
                let opened = LocalFileSystem::new_with_prefix(&folder);
                let opened = opened.map_err(|source| ConfigError::Folder { folder, source: Box::new(source) })?;
                (Key::default(), None, Arc::new(opened.with_automatic_cleanup(true)))
            }
        };
        let bytes_per_s = u64::from(config.mbit_per_s) * 125_000 / u64::from(config.uploads);
        Ok(Some(Self(Arc::new(Inner {
            url: store.to_owned(),
            prefix,
            store: opened,
            parts,
            pace: Pace { bytes_per_s: NonZeroU32::new(u32::try_from(bytes_per_s).unwrap_or(u32::MAX)) },
            reserve_bytes: config.keep_free_mb.saturating_mul(1_000_000),
            promised: Mutex::default(),
        }))))
    }
}

impl Config {
    fn s3(&self, bucket: &str, secret: &SecretString) -> Result<AmazonS3, ConfigError> {
        let client = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(Duration::from_secs(5))
            .with_timeout(Duration::from_secs(self.timeout_s));
        // A hiccup is passed over at once; for anything longer the caller comes again.
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: 2,
            retry_timeout: Duration::from_secs(self.timeout_s),
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.region)
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(secret.expose_secret())
            // Files go one by one, and not every store knows the request for many.
            .with_disable_bulk_delete(true)
            .with_client_options(client)
            .with_retry(retry);
        if !self.endpoint.is_empty() {
            builder = builder.with_endpoint(self.endpoint.trim_end_matches('/'));
        }
        builder.build().map_err(|error| ConfigError::Store(Box::new(error)))
    }
}

fn target(store: &str) -> Result<Target, ConfigError> {
    let wrong = || ConfigError::Url(store.to_owned());
    if let Some(folder) = store.strip_prefix("file://") {
        let folder = Path::new(folder);
        let plain = folder.is_absolute() && folder.parent().is_some();
        return plain.then(|| Target::Folder(folder.to_owned())).ok_or_else(wrong);
    }
    let (bucket, prefix) =
        store.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(wrong)?;
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, and the underscores of others.
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(fits) {
        return Err(wrong());
    }
    let prefix = Key::parse(prefix.trim_end_matches('/')).map_err(|_| wrong())?;
    Ok(Target::S3 { bucket: bucket.to_owned(), prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: &str = "access_key_id = 'k'\n";

    #[test]
    fn every_mistake_is_named_with_its_key_and_what_to_write() {
        #[track_caller]
        fn check(store: &str, text: &str, starts: &[&str]) {
            let errors = toml::from_str::<Config>(text).unwrap().errors(store);
            let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(told.len(), starts.len(), "{store} {text}: {told:?}");
            for (told, start) in told.iter().zip(starts) {
                assert!(told.starts_with(start), "{told}");
            }
        }
        check("", "", &[]);
        check("s3://voices", S3, &[]);
        check("s3://voices/calls/2026/", S3, &[]);
        check("file:///mnt/voices", "", &[]);
        for store in [
            "/mnt/voices",
            "s3:/voices",
            "s3://",
            "s3://a/b",
            "s3://voi ces",
            "file://mnt",
            "file:///",
            "https://x/y",
            "s3://voices/a//b",
        ] {
            check(store, S3, &["recording.store: "]);
        }
        check("s3://voices", "", &["archive.access_key_id: "]);
        for (endpoint, wrong) in
            [("minio:9000", 1), ("http://minio:9000", 1), ("ftp://minio", 1), ("https://minio:9000/", 0)]
        {
            check("s3://voices", &format!("{S3}endpoint = '{endpoint}'"), &["archive.endpoint: "][..wrong]);
        }
        check("s3://voices", &format!("{S3}endpoint = 'http://minio:9000'\nallow_http = true"), &[]);
        check("", "uploads = 0\ntimeout_s = 0", &["archive.uploads: ", "archive.timeout_s: "]);
        assert!(toml::from_str::<Config>("secret_access_key = 'x'").is_err());
    }

    #[test]
    fn a_store_wants_its_secret_and_a_folder_must_be_there() {
        let config: Config = toml::from_str(S3).unwrap();
        let told = |store: &str| Archive::open(store, &config, None).map(drop).unwrap_err().to_string();
        assert!(told("s3://voices").contains("TANDEM_ARCHIVE__SECRET_ACCESS_KEY"));
        assert!(told("file:///no/such/folder").contains("mount it"));
        assert!(Archive::open("", &config, None).unwrap().is_none());
        // Nobody answers there, and that is no mistake of the configuration.
        let away = Config { endpoint: "https://127.0.0.1:1".to_owned(), ..config };
        assert!(Archive::open("s3://voices", &away, Some("s".to_owned().into())).unwrap().is_some());
    }
}
