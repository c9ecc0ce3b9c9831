//! The run: so many customers call, so many agents answer, everybody talks for a while, and everybody hangs up.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::process::{ProcessWatch, rss_bytes};
use super::report::{Direction, Disturbed, Percentiles, Report, Verdict};
use super::{agents_sound, baseline, customers_sound, probe, provision};
use crate::agent::{Agent, AgentCall, AgentConfig, Api, SharedThreads};
use crate::peer::MediaThreads;
use crate::peer::probe::DelayMeter;
use crate::whatsapp::{CallHandle, Config, FakeWhatsApp, InboundCall};

/// A call must be answered and heard in both directions within this time.
const SET_UP_TIME_MAX: Duration = Duration::from_secs(30);
/// Between the last set-up and the measured part, so that hand-shakes do not count.
const SETTLE: Duration = Duration::from_secs(2);
const BASELINE_PAIRS: usize = 10;
const BASELINE_LENGTH: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// The gateway's HTTP address, such as `http://127.0.0.1:8080`.
    pub gateway: String,
    /// An API key with every scope.
    pub admin_key: String,
    /// The fake WhatsApp; its Graph address must be the gateway's `graph_url`.
    pub whatsapp: Config,
    /// Calls at the same time.
    pub calls: usize,
    /// Length of the measured part.
    pub length: Duration,
    /// A shell command that breaks something beside the gateway; after it the same length is measured once more.
    pub disturb: Option<String>,
    /// New calls per second while the run builds up.
    pub ramp_per_second: f64,
    /// How long an agent waits before it clicks.
    pub click_after: Duration,
    /// The gateway's process, to watch its CPU and memory.
    pub gateway_pid: Option<u32>,
    /// Media threads of the generator.
    pub media_threads: usize,
}

impl LoadConfig {
    /// 100 calls for a minute, five new ones a second, with the sandbox's keys.
    pub fn new(gateway: &str, admin_key: &str, graph_listen: SocketAddr) -> Self {
        Self {
            gateway: gateway.to_owned(),
            admin_key: admin_key.to_owned(),
            whatsapp: Config { listen: graph_listen, listen_to_media: false, ..Config::default() },
            calls: 100,
            length: Duration::from_secs(60),
            disturb: None,
            ramp_per_second: 5.0,
            click_after: Duration::from_millis(300),
            gateway_pid: None,
            media_threads: 1,
        }
    }
}

/// Runs it.
///
/// # Errors
/// When the run cannot be made at all (gateway not there, key refused, ports taken). Calls that fail are part of the
/// report.
pub async fn run(config: LoadConfig) -> Result<Report> {
    ensure!(config.calls > 0 && config.ramp_per_second > 0.0, "calls and ramp must be above 0");
    let threads = MediaThreads::start(config.media_threads)?;
    let (baseline, _) = baseline(&threads, IpAddr::from([127, 0, 0, 1]), BASELINE_PAIRS, BASELINE_LENGTH).await?;
    let memory_before = config.gateway_pid.map(rss_bytes).transpose()?;

    let wa = FakeWhatsApp::start(Config { media_threads: config.media_threads, ..config.whatsapp.clone() }).await?;
    wa.set_webhook_url(&format!("{}/webhooks/whatsapp", config.gateway.trim_end_matches('/')));
    let crowd = Crowd::gather(&config, &wa, &threads).await?;
    let calls = crowd.build_up(&config, &wa).await;
    tokio::time::sleep(SETTLE).await;

    let (up, failed): (Vec<_>, Vec<_>) = calls.into_iter().partition(Result::is_ok);
    let up: Vec<LiveCall> = up.into_iter().filter_map(Result::ok).collect();
    let mut gateway_watch = config.gateway_pid.map(|pid| ProcessWatch::start(pid, memory_before)).transpose()?;
    let own_watch = ProcessWatch::start(std::process::id(), None)?;
    let frames_before = frames(&up);
    let (seconds, to_agent, to_customer) = measure(&up, config.length, &mut gateway_watch).await;
    let disturbed = match &config.disturb {
        None => None,
        Some(command) => {
            shell(command).await?;
            let (_, to_agent, to_customer) = measure(&up, config.length, &mut gateway_watch).await;
            Some(Disturbed { to_agent, to_customer })
        }
    };
    let gateway = gateway_watch.and_then(ProcessWatch::finish);
    let generator = own_watch.finish().unwrap_or_default();
    let calls_lost = up.iter().filter(|call| call.phone.is_ended() || call.agent.stats().gone).count();
    let frames_after = frames(&up);
    let (sent, late) = (frames_after.0 - frames_before.0, frames_after.1 - frames_before.1);

    let mut violations: HashMap<String, usize> = HashMap::new();
    for call in &up {
        for violation in call.phone.violations() {
            *violations.entry(format!("{violation:?}")).or_default() += 1;
        }
        call.phone.hang_up();
    }
    // Each end reaches the gateway before this process, and the fake with it, is gone.
    join_all(up.iter().map(|call| call.agent.ended(Duration::from_secs(10)))).await;

    let mut failures: HashMap<String, usize> = HashMap::new();
    for error in failed.iter().filter_map(|result| result.as_ref().err()) {
        *failures.entry(error.to_string()).or_default() += 1;
    }
    let mut report = Report {
        calls_wanted: config.calls,
        calls_up: up.len(),
        set_up_failures: failures.into_iter().collect(),
        calls_lost,
        violations: violations.into_iter().collect(),
        seconds,
        call_to_offer: Percentiles::of(up.iter().map(|call| micros(call.offered_after)).collect()),
        click_to_two_way_audio: Percentiles::of(up.iter().map(|call| micros(call.two_way_after)).collect()),
        to_agent,
        to_customer,
        disturbed,
        baseline,
        generator_late_ratio: late as f64 / sent.max(1) as f64,
        generator,
        gateway,
        verdict: Verdict::Passed,
    };
    report.judge();
    Ok(report)
}

/// What arrives on all calls within this length, to the agents and to the customers; and how long it was in seconds.
async fn measure(
    calls: &[LiveCall],
    length: Duration,
    gateway: &mut Option<ProcessWatch>,
) -> (f64, Direction, Direction) {
    for call in calls {
        call.to_agent.reset();
        call.to_customer.reset();
    }
    let started = Instant::now();
    while started.elapsed() < length {
        let left = length.saturating_sub(started.elapsed());
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        if let Some(watch) = gateway {
            watch.look();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let to_agent = Direction::collect(calls.iter().map(|call| call.to_agent.as_ref()));
    let to_customer = Direction::collect(calls.iter().map(|call| call.to_customer.as_ref()));
    (seconds, to_agent, to_customer)
}

async fn shell(command: &str) -> Result<()> {
    let status = tokio::process::Command::new("sh").args(["-c", command]).status().await;
    let status = status.with_context(|| format!("`{command}` cannot be run"))?;
    ensure!(status.success(), "`{command}` failed: {status}");
    Ok(())
}

/// A call with both ends in our hands.
struct LiveCall {
    phone: CallHandle,
    agent: AgentCall,
    to_agent: Arc<DelayMeter>,
    to_customer: Arc<DelayMeter>,
    offered_after: Duration,
    two_way_after: Duration,
}

/// The agents, and who waits for which customer's call.
struct Crowd {
    agents: Vec<Agent>,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<AgentCall>>>>,
}

impl Crowd {
    async fn gather(config: &LoadConfig, wa: &FakeWhatsApp, threads: &MediaThreads) -> Result<Self> {
        let api = Api::new(&config.gateway, &config.admin_key)?;
        let number = wa.config().numbers.first().context("the fake has no number")?;
        provision::number(&api, number, &wa.config().graph_token).await?;
        provision::wallet(&api).await?;
        let waiting: Arc<Mutex<HashMap<String, oneshot::Sender<AgentCall>>>> = Arc::default();
        let mut agents = Vec::with_capacity(config.calls);
        for index in 0..config.calls {
            let id = agent_id(index);
            let token = provision::agent(&api, &id).await?;
            provision::contact(&api, &phone(index), &id).await?;
            let settings = AgentConfig {
                listen_to_media: false,
                threads: Some(SharedThreads(threads.clone())),
                ..AgentConfig::default()
            };
            let agent = Agent::sign_in_with(&config.gateway, &token, settings).await?;
            agent.go_online().await?;
            let taken = agent.take_everything(config.click_after, None);
            tokio::spawn(hand_over(taken, Arc::clone(&waiting)));
            agents.push(agent);
        }
        Ok(Self { agents, waiting })
    }

    async fn build_up(&self, config: &LoadConfig, wa: &FakeWhatsApp) -> Vec<Result<LiveCall>> {
        let mut tasks = Vec::with_capacity(config.calls);
        let started = Instant::now();
        for index in 0..config.calls {
            let due = started + Duration::from_secs_f64(index as f64 / config.ramp_per_second);
            tokio::time::sleep_until(due.into()).await;
            let (wa, agent, waiting) = (wa.clone(), self.agents[index].clone(), Arc::clone(&self.waiting));
            tasks.push(tokio::spawn(async move { place(&wa, &agent, &waiting, &phone(index)).await }));
        }
        let mut calls = Vec::with_capacity(config.calls);
        for task in tasks {
            calls.push(task.await.unwrap_or_else(|_| bail!("the generator failed")));
        }
        calls
    }
}

async fn place(
    wa: &FakeWhatsApp,
    agent: &Agent,
    waiting: &Mutex<HashMap<String, oneshot::Sender<AgentCall>>>,
    phone: &str,
) -> Result<LiveCall> {
    let (sender, taken) = oneshot::channel();
    waiting.lock().await.insert(phone.to_owned(), sender);
    let called_at = Instant::now();
    let call = wa.call(InboundCall::from(phone)).await.context("the customer could not call")?;
    let accepted = tokio::time::timeout(SET_UP_TIME_MAX, taken).await.ok().and_then(Result::ok);
    let accepted = accepted.context("no agent took the call in time")?;
    call.answered(SET_UP_TIME_MAX).await.map_err(|_| anyhow::anyhow!("the gateway never accepted the call at Meta"))?;
    let peer = call.peer().context("the phone has media")?;
    let to_agent = probe(&peer, accepted.peer(), &customers_sound());
    let to_customer = probe(accepted.peer(), &peer, &agents_sound());
    let heard = |meter: &DelayMeter| meter.figures().first_at;
    let deadline = Instant::now() + SET_UP_TIME_MAX;
    let (first, second) = loop {
        if let (Some(first), Some(second)) = (heard(&to_agent), heard(&to_customer)) {
            break (first, second);
        }
        if Instant::now() > deadline {
            bail!(
                "audio: heard by the agent {}, by the customer {}",
                heard(&to_agent).is_some(),
                heard(&to_customer).is_some()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let offer = agent.events().into_iter().find(|event| event.kind == "offer.created" && event.at >= called_at);
    Ok(LiveCall {
        offered_after: offer.map(|event| event.at - called_at).unwrap_or_default(),
        two_way_after: first.max(second).saturating_duration_since(accepted.clicked_at),
        phone: call,
        agent: accepted,
        to_agent,
        to_customer,
    })
}

async fn hand_over(
    mut taken: mpsc::UnboundedReceiver<AgentCall>,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<AgentCall>>>>,
) {
    while let Some(call) = taken.recv().await {
        let phone = call.contact["phone"].as_str().unwrap_or("").trim_start_matches('+').to_owned();
        if let Some(sender) = waiting.lock().await.remove(&phone) {
            let _ = sender.send(call);
        }
    }
}

fn frames(calls: &[LiveCall]) -> (u64, u64) {
    let mut sum = (0, 0);
    for call in calls {
        for stats in [call.phone.stats(), call.agent.stats()] {
            sum.0 += stats.packets_sent;
            sum.1 += stats.late_frames;
        }
    }
    sum
}

fn micros(length: Duration) -> u32 {
    u32::try_from(length.as_micros()).unwrap_or(u32::MAX)
}

fn agent_id(index: usize) -> String {
    format!("agt_load_{index:04}")
}

fn phone(index: usize) -> String {
    format!("9955700{index:05}")
}
