//! `tandem demo`: the gateway and a fake WhatsApp in one process. Everything but Meta is the real path: webhooks are signed
//! and posted, media is encrypted and sent over sockets, and the seed goes through the control API like anybody's.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Config as PhoneNetwork, FakeWhatsApp, Grant, InboundCall, Script};

use crate::app::{App, Ended};
use crate::config::Config;
use crate::model::event::Event;

/// `tandem demo` options.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Keep database and recordings here; without it they go to a temporary folder and are removed at the end.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the console and the API listen; another free port is taken if this one is busy.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

const NUMBER: &str = "100000000000001";
/// Of everybody in the demo.
const PASSWORD: &str = "call me on whatsapp";
/// From an agent going online to the customer's call.
const CALL_AFTER: Duration = Duration::from_secs(3);

struct Person {
    id: &'static str,
    name: &'static str,
    role: &'static str,
    title: &'static str,
}

impl Person {
    fn email(&self) -> String {
        format!("{}@example.com", self.id.trim_start_matches("agt_"))
    }
}

const AGENTS: [Person; 4] = [
    Person { id: "agt_anna", name: "Anna Weber", role: "teammate", title: "Teammate" },
    Person { id: "agt_ben", name: "Ben Okafor", role: "admin", title: "Admin" },
    Person { id: "agt_lea", name: "Lea Moreau", role: "sales_lead", title: "Sales lead" },
    Person { id: "agt_omar", name: "Omar Haddad", role: "owner", title: "Owner" },
];

struct Seed {
    wa_id: &'static str,
    name: &'static str,
    assignee: &'static str,
    grant: Option<Grant>,
}

fn customers() -> [Seed; 4] {
    let week = Duration::from_secs(7 * 24 * 3600);
    [
        Seed {
            wa_id: "995555010203",
            name: "Nino Beridze",
            assignee: "agt_anna",
            grant: Some(Grant::Temporary { expires_in: week }),
        },
        Seed { wa_id: "4915112345678", name: "Jonas Keller", assignee: "agt_ben", grant: Some(Grant::Permanent) },
        Seed { wa_id: "5511987654321", name: "Camila Souza", assignee: "agt_lea", grant: Some(Grant::Permanent) },
        Seed { wa_id: "971501234567", name: "Yusuf Al Amin", assignee: "agt_omar", grant: None },
    ]
}

/// Runs the demo until it is told to stop.
///
/// # Errors
/// Whatever keeps the gateway or the fake WhatsApp from starting.
pub async fn run(config: Config, options: Options) -> anyhow::Result<Ended> {
    let temporary = options.dir.is_none().then(tempfile::tempdir).transpose()?;
    let dir = options.dir.clone().or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()));
    let dir = dir.context("a folder is given or made")?;
    let whatsapp = FakeWhatsApp::start(PhoneNetwork::default()).await.context("the fake WhatsApp cannot start")?;
    let config = point_at(config, &options, &dir, &whatsapp)?;
    let app = App::start(&config, true).await?;
    whatsapp.set_webhook_url(&format!("{}/webhooks/whatsapp", app.base_url));
    whatsapp.verify_webhook().await.context("the gateway refuses the fake WhatsApp's webhooks")?;
    let links = seed(&app, &dir, &whatsapp).await.context("the demo's people cannot be set up")?;
    greet(&app, &dir, &links);
    tokio::spawn(ring_whoever_is_online(app.switchboard.subscribe(), whatsapp.clone()));
    let ended = app.run().await;
    drop(temporary);
    ended
}

fn point_at(mut config: Config, options: &Options, dir: &Path, whatsapp: &FakeWhatsApp) -> anyhow::Result<Config> {
    config.http.listen = free_tcp(options.listen)?;
    config.http.metrics_listen = free_tcp(config.http.metrics_listen)?;
    if UdpSocket::bind(config.media.listen).is_err() {
        config.media.listen.set_port(0);
    }
    config.data.dir = dir.to_owned();
    // Whatever database the configuration names, people who exist nowhere do not belong into it.
    config.data.url = String::new();
    config.whatsapp.graph_url = whatsapp.graph_url();
    let secrets = PhoneNetwork::default();
    config.secrets.app_secret = Some(secrets.app_secret.into());
    config.secrets.verify_token = Some(secrets.verify_token.into());
    Ok(config)
}

/// The wished address, or another port on it when that one is taken.
fn free_tcp(wished: SocketAddr) -> anyhow::Result<SocketAddr> {
    if TcpListener::bind(wished).is_ok() {
        return Ok(wished);
    }
    let any = TcpListener::bind((wished.ip(), 0)).with_context(|| format!("no port is free on {}", wished.ip()))?;
    Ok(any.local_addr()?)
}

/// Sets up what is not there of number, team, agents, customers and permissions, through the API; returns a sign-in link for each agent.
async fn seed(app: &App, dir: &Path, whatsapp: &FakeWhatsApp) -> anyhow::Result<Vec<(&'static Person, String)>> {
    let api = Api::new(app, dir)?;
    api.put_new(
        &format!("numbers/{NUMBER}"),
        &json!({
            "display_phone_number": "+995322000111", "plan": "advanced", "add_ons": [], "messaging_limit": 10_000,
            "platform": "cloud_api", "graph_token": PhoneNetwork::default().graph_token,
        }),
    )
    .await?;
    api.pay_in_once().await?;
    api.put("teams/team_care", &json!({"name": "Customer care"})).await?;
    let mut links = Vec::new();
    for person in &AGENTS {
        let agent = json!({"name": person.name, "email": person.email(), "role": person.role, "team_id": "team_care"});
        api.put_new(&format!("agents/{}", person.id), &agent).await?;
        api.give_password(person).await?;
        let token = api.post(&format!("agents/{}/tokens", person.id), &json!({})).await?;
        let token = token["token"].as_str().context("a token was made")?;
        links.push((person, format!("{}/#token={token}", app.base_url)));
    }
    for customer in customers() {
        let contact = json!({"name": customer.name, "assignee_id": customer.assignee});
        api.put_new(&format!("contacts/wa:{}", customer.wa_id), &contact).await?;
        whatsapp.set_customer(customer.wa_id, answers());
        if let Some(grant) = customer.grant {
            whatsapp.grant_permission(customer.wa_id, grant).await?;
        }
    }
    Ok(links)
}

/// Customers pick up after three seconds of ringing and say what they want, then listen.
fn answers() -> Script {
    Script::answers_after(Duration::from_secs(3)).says(Sound::caller())
}

fn greet(app: &App, dir: &Path, links: &[(&Person, String)]) {
    println!("\nTandem is running with a fake WhatsApp.\n");
    println!("  Sign in as");
    for (person, link) in links {
        println!("    {:<11} {:<12} {:<17} {link}", person.title, person.name, person.email());
    }
    println!("\n  Console     {}   password of all four: {PASSWORD}", app.base_url);
    println!("  API         {}/docs", app.base_url);
    println!("  API key     {}", dir.join("admin.key").display());
    println!("  Metrics     http://{}/metrics", app.metrics_address);
    println!(
        "\nOpen a link or sign in, switch to Online, and a customer calls within seconds. Going offline and online again makes"
    );
    println!("the next one call. To call back, open Contacts, a customer, and press WhatsApp Call. Ctrl-C ends it.\n");
}

/// Each time an agent goes online, the customer assigned to that agent calls.
async fn ring_whoever_is_online(mut events: tokio::sync::broadcast::Receiver<Event>, whatsapp: FakeWhatsApp) {
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        };
        if event.kind != "agent.status_changed" || event.data["status"] != "online" {
            continue;
        }
        let Some(customer) = customers().into_iter().find(|c| event.data["agent_id"] == c.assignee) else { continue };
        tokio::spawn(call(whatsapp.clone(), customer));
    }
}

async fn call(whatsapp: FakeWhatsApp, customer: Seed) {
    tokio::time::sleep(CALL_AFTER).await;
    println!("{} is calling …", customer.name);
    let call = InboundCall::from(customer.wa_id).named(customer.name).says(Sound::caller());
    let call = match whatsapp.call(call).await {
        Ok(call) => call,
        Err(error) => return println!("{} could not call: {error:#}", customer.name),
    };
    match call.ended(Duration::from_secs(3600)).await {
        Ok(ended) => {
            let heard = call.stats().packets_received / 50;
            println!(
                "{}'s call ended after {} s; {heard} s of the agent's audio were heard.",
                customer.name,
                ended.duration.unwrap_or_default().as_secs()
            );
        }
        Err(error) => println!("{}'s call: {error:#}", customer.name),
    }
}

/// The control API with the admin key.
struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    fn new(app: &App, dir: &Path) -> anyhow::Result<Self> {
        let key = std::fs::read_to_string(dir.join("admin.key")).context("the admin key cannot be read")?;
        let base = format!("{}/v1", app.base_url);
        Ok(Self { http: reqwest::Client::new(), base, key: key.trim().to_owned() })
    }

    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.http.put(format!("{}/{path}", self.base)).json(body)).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}/{path}", self.base)).json(body)).await
    }

    /// A demo that starts again in its folder finds what was changed there.
    async fn put_new(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let found = self.http.get(format!("{}/{path}", self.base)).bearer_auth(&self.key).send().await?;
        if found.status() == reqwest::StatusCode::NOT_FOUND {
            self.put(path, body).await?;
        }
        Ok(())
    }

    /// A demo that starts again in its folder finds people who have theirs, and may be signed in.
    async fn give_password(&self, person: &Person) -> anyhow::Result<()> {
        if self.post("session", &json!({"login": person.id, "password": PASSWORD})).await.is_ok() {
            return Ok(());
        }
        let invitation = self.post(&format!("agents/{}/invitations", person.id), &json!({})).await?;
        let url = invitation["url"].as_str().context("an invitation was made")?;
        let (_, secret) = url.split_once("#invitation=").context("the link has a secret")?;
        self.post("session/invitation", &json!({"invitation": secret, "password": PASSWORD})).await?;
        Ok(())
    }

    /// A demo that starts again in its folder finds the wallet as it was left.
    async fn pay_in_once(&self) -> anyhow::Result<Value> {
        let body = json!({"micros": 25_000_000, "currency": "USD", "reference": "demo"});
        self.send(self.http.post(format!("{}/wallet/top-ups", self.base)).header("idempotency-key", "demo").json(&body))
            .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.bearer_auth(&self.key).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "the API answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}
