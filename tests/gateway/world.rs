//! One gateway process, one fake WhatsApp, and the people of a story.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::agent::Agent;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Config as PhoneNetwork, FakeWhatsApp, Grant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(crate) const NUMBER: &str = "100000000000001";
pub(crate) const NINO: &str = "995555010203";
/// Long enough for a busy machine, short enough to fail a test.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The agent's voice in stories: a steady hum between the frequencies of the customer's beeps, so that the two are told
/// apart wherever they are heard.
const AGENT_HZ: f32 = 1925.0;

pub(crate) fn agent_voice() -> Sound {
    Sound::tone(AGENT_HZ, Duration::from_secs(3))
}

/// Share of what was heard that is the agent's voice.
pub(crate) fn agent_share(pcm: &[i16]) -> f32 {
    measure::tone_share(pcm, AGENT_HZ)
}

/// A gateway with a number, a team, and a fake WhatsApp that posts to it.
pub(crate) struct World {
    pub(crate) wa: FakeWhatsApp,
    pub(crate) gateway: Gateway,
    pub(crate) dir: tempfile::TempDir,
    /// Of the gateway, if it is not on SQLite.
    pub(crate) database: Option<Database>,
    config: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with("", PhoneNetwork::default()).await
    }

    /// A world whose gateway keeps its records in a PostgreSQL database of its own.
    pub(crate) async fn on_postgres() -> Self {
        Self::build("", PhoneNetwork::default(), Some(Database::create().await)).await.with_money().await
    }

    /// A world whose wallet is as empty as a new one.
    pub(crate) async fn without_money() -> Self {
        Self::build("", PhoneNetwork::default(), None).await
    }

    /// A world whose gateway has these lines in its configuration.
    pub(crate) async fn with(config: &str, network: PhoneNetwork) -> Self {
        Self::build(config, network, None).await.with_money().await
    }

    async fn with_money(self) -> Self {
        self.top_up(100_000_000).await;
        self
    }

    async fn build(config: &str, network: PhoneNetwork, database: Option<Database>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let wa = FakeWhatsApp::start(network).await.unwrap();
        let config = format!(
            "{config}\n[http]\nlisten = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\n\
             [data]\ndir = {:?}\nurl = {:?}\n[whatsapp]\ngraph_url = {:?}\n",
            dir.path().join("data"),
            database.as_ref().map(Database::url).unwrap_or_default(),
            wa.graph_url()
        );
        // Only those stories pay for a recogniser that are about it.
        let config = if config.contains("[asr]") { config } else { format!("{config}[asr]\nengine = \"off\"\n") };
        let config = if config.contains("[calls]") { config } else { format!("{config}{}", crate::CALLS) };
        let config =
            if config.contains("[media]") { config } else { format!("{config}[media]\nlisten = \"127.0.0.1:0\"\n") };
        let gateway = Gateway::start(dir.path(), &config).await;
        let world = Self { wa, gateway, dir, database, config };
        world.wa.set_webhook_url(&world.gateway.webhook_url());
        let token = world.wa.config().graph_token.clone();
        world
            .put(
                &format!("numbers/{NUMBER}"),
                json!({"display_phone_number": "+995322000111", "plan": "advanced", "add_ons": [], "messaging_limit": 10_000,
                       "platform": "cloud_api", "graph_token": token}),
            )
            .await;
        world.put("teams/team_a", json!({"name": "Team A"})).await;
        world
    }

    /// A new agent, signed in and online.
    pub(crate) async fn agent(&self, id: &str) -> Agent {
        let agent = self.agent_offline(id).await;
        agent.go_online().await.unwrap();
        agent
    }

    pub(crate) async fn agent_offline(&self, id: &str) -> Agent {
        self.put(&format!("agents/{id}"), json!({"name": id, "role": "teammate", "team_id": "team_a"})).await;
        self.sign_in(id).await
    }

    pub(crate) async fn sign_in(&self, id: &str) -> Agent {
        let token = self.token(id).await;
        Agent::sign_in(&self.gateway.base, &token).await.unwrap()
    }

    pub(crate) async fn token(&self, id: &str) -> String {
        let made = self.post(&format!("agents/{id}/tokens"), json!({})).await;
        made["token"].as_str().unwrap().to_owned()
    }

    /// Nino's chat belongs to this agent, and she permits calls.
    pub(crate) async fn nino_of(&self, agent: &str) {
        self.put(&format!("contacts/wa:{NINO}"), json!({"name": "Nino Beridze", "assignee_id": agent})).await;
        self.wa.grant_permission(NINO, Grant::Permanent).await.unwrap();
        let contact = format!("contacts/wa:{NINO}/callability?number_id={NUMBER}&agent_id={agent}");
        self.until("the permission arrives", async || self.get(&contact).await["permission"]["status"] == "permanent")
            .await;
    }

    /// The only call in the list that this customer has, newest first.
    pub(crate) async fn calls(&self) -> Vec<Value> {
        self.get("calls?section=all&limit=100").await["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn call(&self, id: &str) -> Value {
        self.get(&format!("calls/{id}")).await
    }

    /// Waits until the call has ended and, if it was recorded, its recording is closed.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        self.until("the call is settled", async || {
            let call = self.call(id).await;
            call["state"] == "ended" && !["recording", "paused"].contains(&call["recording"]["state"].as_str().unwrap())
        })
        .await;
        self.call(id).await
    }

    /// The newest call, once there is one that fits.
    pub(crate) async fn newest_call(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, async || self.calls().await.first().is_some_and(&fits)).await;
        self.calls().await.swap_remove(0)
    }

    /// Both channels of the recording at 16 kHz: customer, agent.
    pub(crate) async fn recording(&self, id: &str) -> (Vec<i16>, Vec<i16>) {
        let wav = self.gateway.request("GET", &format!("calls/{id}/recording"), None).await;
        assert_eq!(wav.status, 200, "{}", String::from_utf8_lossy(&wav.body));
        channels(&wav.body)
    }

    /// Calls need money before anybody dials.
    pub(crate) async fn top_up(&self, micros: i64) {
        self.post("wallet/top-ups", json!({"micros": micros, "currency": "USD", "reference": "story"})).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.gateway.request("GET", path, None).await.ok()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.gateway.request("PUT", path, Some(body)).await.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.gateway.request("POST", path, Some(body)).await.ok()
    }

    /// Waits for a condition; fails the test by name after [`SOON`].
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFnMut() -> bool) {
        self.until_within(SOON, what, holds).await;
    }

    pub(crate) async fn until_within(&self, within: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + within;
        while !holds().await {
            assert!(tokio::time::Instant::now() < deadline, "in vain: {what}\n{}", self.gateway.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Changes in the database what else only time would.
    pub(crate) async fn alter(&self, sql: &str) {
        let file = self.dir.path().join("data/tandem.sqlite3");
        let sqlite = || format!("sqlite://{}?mode=rw", file.display());
        Database::run_at(&self.database.as_ref().map_or_else(sqlite, Database::url), sql).await;
    }

    /// kill -9, then the same program on the same data.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.gateway.kill().await;
        self.restart().await;
    }

    /// The same at the address where its clients look for it.
    #[allow(dead_code, reason = "only a browser looks for it there")]
    pub(crate) async fn kill_and_restart_in_place(&mut self) {
        let at = self.gateway.base.strip_prefix("http://").unwrap();
        self.config =
            self.config.replacen("[http]\nlisten = \"127.0.0.1:0\"", &format!("[http]\nlisten = \"{at}\""), 1);
        self.kill_and_restart().await;
    }

    pub(crate) async fn restart(&mut self) {
        self.gateway = Gateway::start(self.dir.path(), &self.config).await;
        self.wa.set_webhook_url(&self.gateway.webhook_url());
    }
}

/// An empty database on the PostgreSQL that `tests/with-postgres.sh` starts. It goes with the cluster.
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let database = Self { name: format!("gateway_{}", uuid::Uuid::now_v7().simple()) };
        database.administer(&format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    pub(crate) fn url(&self) -> String {
        let server = Self::server();
        let (before, _) = server.rsplit_once('/').unwrap();
        format!("{before}/{}", self.name)
    }

    /// Nobody gets in any more, and whoever is in is thrown out, as when the server is stopped.
    pub(crate) async fn go_away(&self) {
        self.administer(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", self.name)).await;
        let all = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname";
        self.administer(&format!("{all} = '{}'", self.name)).await;
    }

    pub(crate) async fn come_back(&self) {
        self.administer(&format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true", self.name)).await;
    }

    /// From now on no call ends here, whoever says so.
    pub(crate) async fn refuse_ends(&self) {
        let function =
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full'; END $$";
        self.run(function).await;
        self.run("CREATE TRIGGER refuse BEFORE UPDATE ON calls FOR EACH ROW WHEN (NEW.state = 'ended') EXECUTE FUNCTION refuse()")
            .await;
    }

    pub(crate) async fn take_ends(&self) {
        self.run("DROP TRIGGER refuse ON calls").await;
    }

    /// The server's superuser runs this, from another database.
    async fn administer(&self, sql: &str) {
        Self::run_at(&Self::server(), sql).await;
    }

    async fn run(&self, sql: &str) {
        Self::run_at(&self.url(), sql).await;
    }

    async fn run_at(url: &str, sql: &str) {
        use sqlx::{Connection, Executor};
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The superuser's URL.
    fn server() -> String {
        std::env::var("TANDEM_TEST_POSTGRES")
            .expect("this story needs a PostgreSQL: run `make test`, or `tests/with-postgres.sh cargo test`")
    }
}

/// Both channels of a stereo WAV of 16 kHz.
pub(crate) fn channels(wav: &[u8]) -> (Vec<i16>, Vec<i16>) {
    let mut reader = hound::WavReader::new(std::io::Cursor::new(wav)).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, 16_000));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    (samples.iter().step_by(2).copied().collect(), samples.iter().skip(1).step_by(2).copied().collect())
}

/// The program under test.
pub(crate) struct Gateway {
    pub(crate) base: String,
    pub(crate) metrics: String,
    pub(crate) pid: u32,
    child: Child,
    key: String,
    http: reqwest::Client,
    log: PathBuf,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        self.json()
    }

    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let json = self.json();
        assert_eq!((self.status, &json["code"]), (status, &json!(code)), "{json}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        json
    }
}

impl Gateway {
    /// Starts it and waits until it says that it is ready.
    pub(crate) async fn start(dir: &Path, config: &str) -> Self {
        let file = dir.join("tandem.toml");
        std::fs::write(&file, config).unwrap();
        let log = dir.join("gateway.log");
        let mut child = Self::command(&file).stderr(Stdio::piped()).spawn().unwrap();
        let pid = child.id().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let ready = loop {
            let line = tokio::time::timeout(SOON, lines.next_line())
                .await
                .expect("the gateway says something in time")
                .unwrap();
            let Some(line) = line else { panic!("the gateway did not start:\n{seen}") };
            let json: Value = serde_json::from_str(&line).unwrap_or_default();
            seen.push_str(&line);
            seen.push('\n');
            if json["fields"]["message"] == "tandem is ready" {
                break json;
            }
        };
        std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let sink = log.clone();
        tokio::spawn(async move {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().append(true).open(sink).unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = writeln!(file, "{line}");
            }
        });
        let text = |key: &str| ready["fields"][key].as_str().unwrap().to_owned();
        let key = std::fs::read_to_string(dir.join("data/admin.key")).unwrap().trim().to_owned();
        Self { base: text("url"), metrics: text("metrics"), pid, child, key, http: reqwest::Client::new(), log }
    }

    /// The program with this configuration and nothing of the test's environment.
    pub(crate) fn command(config: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command
            .args(["serve", "--config"])
            .arg(config)
            .env("TANDEM_LOG_FORMAT", "json")
            .env("RUST_LOG", "info,tandem=debug")
            .env("TANDEM_WHATSAPP__APP_SECRET", PhoneNetwork::default().app_secret)
            .env("TANDEM_WHATSAPP__VERIFY_TOKEN", PhoneNetwork::default().verify_token)
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn webhook_url(&self) -> String {
        format!("{}/webhooks/whatsapp", self.base)
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.request_as(&self.key, method, path, body).await
    }

    pub(crate) async fn request_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request =
            self.http.request(method.parse().unwrap(), format!("{}/v1/{path}", self.base)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::answer(request).await
    }

    /// Posts an SDP offer.
    pub(crate) async fn post_sdp(&self, token: &str, path: &str, sdp: &str) -> Answer {
        let request = self.http.post(format!("{}/v1/{path}", self.base)).bearer_auth(token);
        Self::answer(request.header("content-type", "application/sdp").body(sdp.to_owned())).await
    }

    /// Replaces the price list.
    pub(crate) async fn put_rate_card(&self, csv: &str) -> Answer {
        let request = self.http.put(format!("{}/v1/rate-card", self.base)).bearer_auth(&self.key);
        Self::answer(request.header("content-type", "text/csv").body(csv.to_owned())).await
    }

    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text =
            self.http.get(format!("http://{}/metrics", self.metrics)).send().await.unwrap().text().await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(crate) async fn readiness(&self) -> Value {
        self.http.get(format!("http://{}/readyz", self.metrics)).send().await.unwrap().json().await.unwrap()
    }

    async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let pid = self.pid.to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        tokio::time::timeout(SOON, self.child.wait()).await.expect("it ends").unwrap().code()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
