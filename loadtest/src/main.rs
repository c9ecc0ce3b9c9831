//! `tandem-loadtest whatsapp`: a WhatsApp for people without a Meta account. `tandem-loadtest run`: what a gateway holds.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tandem_loadtest::load::{self, LoadConfig};
use tandem_loadtest::peer::MediaThreads;
use tandem_loadtest::whatsapp::{BusinessNumber, Config, FakeWhatsApp, remote_control};

/// A fake WhatsApp with real media, and load for a Tandem gateway.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the fake WhatsApp alone, until it is interrupted.
    Whatsapp(WhatsappArguments),
    /// Measures this machine alone: pairs of endpoints without a gateway between them.
    Baseline(BaselineArguments),
    /// Holds many calls through a running gateway and measures them.
    Run(RunArguments),
}

#[derive(Args)]
struct Keys {
    /// Key of the webhook signatures; the gateway's `app_secret_file` must hold the same.
    #[arg(long, default_value = "sandbox-app-secret")]
    app_secret: String,
    /// What the webhook's receiver must know when it is verified.
    #[arg(long, default_value = "sandbox-verify-token")]
    verify_token: String,
    /// Bearer token of the Graph API.
    #[arg(long, default_value = "sandbox-graph-token")]
    graph_token: String,
    /// The business's phone number id.
    #[arg(long, default_value = "100000000000001")]
    number_id: String,
    /// The business's number in digits.
    #[arg(long, default_value = "995322000111")]
    number: String,
}

#[derive(Args)]
struct WhatsappArguments {
    /// Where the Graph API listens: the gateway's `graph_url`.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// Where webhooks go.
    #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/whatsapp")]
    webhook_url: String,
    /// Where the remote control listens: `POST /calls {"from":"995555010203","name":"Nino"}` makes a customer call.
    #[arg(long, default_value = "127.0.0.1:9101")]
    control_listen: SocketAddr,
    #[command(flatten)]
    keys: Keys,
}

#[derive(Args)]
struct BaselineArguments {
    /// Pairs of endpoints; as many as the calls of the run that follows.
    #[arg(long, default_value_t = 100)]
    pairs: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Media threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

#[derive(Args)]
struct RunArguments {
    /// The gateway's HTTP address.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    gateway: String,
    /// File with an API key of every scope (`data/admin.key`).
    #[arg(long)]
    admin_key_file: PathBuf,
    /// Where the fake Graph API listens: the gateway must have been started with this as `graph_url`.
    #[arg(long, default_value = "127.0.0.1:9100")]
    listen: SocketAddr,
    /// Calls at the same time.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// Seconds to measure, once all calls are up.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Shell command that breaks something beside the gateway; after it the same is measured once more, and compared.
    #[arg(long)]
    disturb: Option<String>,
    /// New calls per second.
    #[arg(long, default_value_t = 5.0)]
    ramp: f64,
    /// The gateway's process id, to report its CPU and memory.
    #[arg(long)]
    gateway_pid: Option<u32>,
    /// Media threads of the generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Also write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match serve(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(command: Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        match command {
            Command::Whatsapp(arguments) => whatsapp(arguments).await,
            Command::Baseline(arguments) => baseline(&arguments).await,
            Command::Run(arguments) => run(arguments).await,
        }
    })
}

async fn whatsapp(arguments: WhatsappArguments) -> Result<ExitCode> {
    let webhook_url = Some(arguments.webhook_url.clone());
    let wa = FakeWhatsApp::start(Config { listen: arguments.listen, webhook_url, ..arguments.keys.config() }).await?;
    let control = tokio::net::TcpListener::bind(arguments.control_listen)
        .await
        .with_context(|| format!("the remote control cannot listen on {}", arguments.control_listen))?;
    println!(
        "Graph API       {}  (number id {}, token {})",
        wa.graph_url(),
        arguments.keys.number_id,
        arguments.keys.graph_token
    );
    println!("webhooks to     {}  (app secret {})", arguments.webhook_url, arguments.keys.app_secret);
    println!("remote control  http://{}", arguments.control_listen);
    println!("a customer calls with:");
    println!(
        "  curl -X POST http://{}/calls -H 'content-type: application/json' -d '{{\"from\":\"995555010203\",\"name\":\"Nino\"}}'",
        arguments.control_listen
    );
    match wa.verify_webhook().await {
        Ok(()) => println!("the webhook URL passes Meta's verification"),
        Err(error) => println!("the webhook URL does not pass Meta's verification yet: {error:#}"),
    }
    axum::serve(control, remote_control(wa))
        .with_graceful_shutdown(async {
            // Without a signal to wait for there is no other way out than being killed, which is fine too.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await
        .context("the remote control ended")?;
    Ok(ExitCode::SUCCESS)
}

async fn baseline(arguments: &BaselineArguments) -> Result<ExitCode> {
    let threads = MediaThreads::start(arguments.threads)?;
    let length = Duration::from_secs(arguments.seconds);
    let (direct, used) = load::baseline(&threads, [127, 0, 0, 1].into(), arguments.pairs, length).await?;
    println!("{} pairs, {} packets, {} lost", arguments.pairs, direct.packets, direct.lost);
    println!("write to read   {}", direct.delay);
    println!("this process    {:.2} cores, {:.1} MiB", used.cores, used.rss_max_bytes as f64 / 1_048_576.0);
    Ok(ExitCode::SUCCESS)
}

async fn run(arguments: RunArguments) -> Result<ExitCode> {
    let path = &arguments.admin_key_file;
    let key =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the API key from {}", path.display()))?;
    let mut config = LoadConfig::new(&arguments.gateway, key.trim(), arguments.listen);
    config.whatsapp = Config { listen: arguments.listen, listen_to_media: false, ..arguments.keys.config() };
    config.calls = arguments.calls;
    config.length = Duration::from_secs(arguments.seconds);
    config.disturb = arguments.disturb;
    config.ramp_per_second = arguments.ramp;
    config.gateway_pid = arguments.gateway_pid;
    config.media_threads = arguments.threads;
    let report = load::run(config).await?;
    println!("{report}");
    if let Some(path) = arguments.json {
        let text = serde_json::to_string_pretty(&report).context("the report is no JSON")?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::from(report.verdict.exit_code()))
}

impl Keys {
    fn config(&self) -> Config {
        Config {
            app_secret: self.app_secret.clone(),
            verify_token: self.verify_token.clone(),
            graph_token: self.graph_token.clone(),
            numbers: vec![BusinessNumber { id: self.number_id.clone(), display: self.number.clone() }],
            ..Config::default()
        }
    }
}
