//! `tandem invite`: a link by which somebody chooses a password, the first owner above all.

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::Ended;
use crate::config::Config;
use crate::control::{invitation_url, is_email_address};
use crate::model::directory::{Agent, Switches};
use crate::model::id::AgentId;
use crate::model::reason::{Presence, Role};
use crate::model::time::Clock;
use crate::store::Store;

/// `tandem invite` options.
#[derive(Clone, Debug, clap::Args)]
pub struct Invite {
    /// The agent, e.g. agt_anna.
    agent: String,
    /// Make a new agent of this role: owner, sales_lead, admin or teammate.
    #[arg(long)]
    role: Option<String>,
    /// Of a new agent: what colleagues call it.
    #[arg(long, requires = "role")]
    name: Option<String>,
    /// Of a new agent: what it signs in with, beside its id.
    #[arg(long, requires = "role")]
    email: Option<String>,
}

/// Long enough to get home and open it.
const LINK_TIME: Duration = Duration::from_secs(3 * 24 * 3600);

/// Prints the link. The gateway may be running.
///
/// # Errors
/// An agent that is not there or, with a role, is there already; a database that cannot be opened.
pub async fn invite(config: &Config, asked: Invite) -> anyhow::Result<Ended> {
    let id = AgentId::parse(&asked.agent).with_context(|| format!("{:?} is no agent's id", asked.agent))?;
    let store = Store::open(&config.data.url, &config.data.dir).await?;
    let now = Clock.now().wall;
    match (store.agent(&id).await?, &asked.role) {
        (Some(_), None) => {}
        (Some(_), Some(_)) => bail!("there is an agent {id} already; leave --role out, or name another"),
        (None, None) => bail!("there is no agent {id}; say --role owner (or another role) to make it"),
        (None, Some(role)) => {
            store.change_agent(&new_agent(id.clone(), role, &asked)?, now).await?;
        }
    }
    let secret = store.create_invitation(&id, now.plus(LINK_TIME)).await?;
    println!("{}", invitation_url(&config.http.base_url(config.http.listen), &secret));
    Ok(Ended::InPeace)
}

fn new_agent(id: AgentId, role: &str, asked: &Invite) -> anyhow::Result<Agent> {
    let roles = Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    let role: Role = role.parse().ok().with_context(|| format!("there is no role {role:?}; there are {roles}"))?;
    if let Some(email) = &asked.email {
        ensure!(is_email_address(email), "{email:?} is no e-mail address like ana@example.com");
    }
    let name = asked.name.clone().unwrap_or_else(|| id.to_string());
    let (email, switches) = (asked.email.clone(), Switches::default());
    Ok(Agent { id, name, email, role, team_id: None, excluded: false, switches, status: Presence::Offline })
}
