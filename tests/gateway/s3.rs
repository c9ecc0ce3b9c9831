//! An S3 server that nobody here wrote (s3s over a folder): it checks every signature and digest and knows multipart
//! uploads. In front of it stands a gate that can make it slow, broken or absent.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;

pub(crate) const BUCKET: &str = "voices";
pub(crate) const KEY_ID: &str = "tandem";
const SECRET: &str = "s3cret-of-the-bucket";

/// What becomes of a request.
pub(crate) enum Fate {
    Served,
    /// 500, as S3 says it when it is broken.
    Broken,
    /// No answer, ever.
    Silent,
}

type Gate = Box<dyn Fn(&str) -> Fate + Send + Sync>;

struct Shared {
    gate: Mutex<Gate>,
    /// Method, path and query, in the order they came.
    seen: Mutex<Vec<String>>,
}

pub(crate) struct S3 {
    pub(crate) endpoint: String,
    dir: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl S3 {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("objects").join(BUCKET)).unwrap();
        std::fs::write(dir.path().join("secret"), SECRET).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(dir.path().join("objects")).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = builder.build();
        let shared = Arc::new(Shared { gate: Mutex::new(Box::new(|_| Fate::Served)), seen: Mutex::new(Vec::new()) });
        let gate = Arc::clone(&shared);
        let answer = async move |request: Request| -> Response {
            let line = format!("{} {}", request.method(), request.uri());
            let fate = (gate.gate.lock().unwrap())(&line);
            gate.seen.lock().unwrap().push(line);
            match fate {
                Fate::Served => match service.call(request.map(s3s::Body::http_body_unsync)).await {
                    Ok(response) => response.map(Body::new),
                    Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
                },
                Fate::Broken => {
                    let body = "<Error><Code>InternalError</Code><Message>We broke.</Message></Error>";
                    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
                }
                Fate::Silent => std::future::pending().await,
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { endpoint, dir, shared }
    }

    /// From now on requests (`PUT /voices/…?partNumber=1…`) go this way.
    pub(crate) fn gate(&self, gate: impl Fn(&str) -> Fate + Send + Sync + 'static) {
        *self.shared.gate.lock().unwrap() = Box::new(gate);
    }

    /// How many requests held all these words.
    pub(crate) fn seen(&self, words: &[&str]) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// Where the server keeps an object.
    pub(crate) fn object(&self, key: &str) -> PathBuf {
        self.dir.path().join("objects").join(BUCKET).join(key)
    }

    /// Keys of the objects there are, by name.
    pub(crate) fn objects(&self) -> Vec<String> {
        let root = self.object("");
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    found.push(entry.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    pub(crate) fn secret(&self) -> secrecy::SecretString {
        SECRET.to_owned().into()
    }
}
