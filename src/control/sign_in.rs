//! How people come in: with a password, into a session that their browser keeps in a cookie; and with a link, by which
//! they choose that password.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::attempts::Attempts;
use super::auth::Caller;
use super::cookie;
use super::devices;
use super::extract::{Id, Json, MaybeJson, NoBody, Params};
use super::openapi::Problems;
use super::owners::somebody_remains;
use super::passwords::Passwords;
use super::problem::{Code, Problem};
use super::session::Session;
use super::{Control, Shared};
use crate::model::directory::Agent;
use crate::model::id::AgentId;
use crate::model::reason::Presence;
use crate::model::time::Timestamp;
use crate::policy::access::Action;

/// What signing in needs beside the store.
#[derive(Debug, Default)]
pub struct SignIn {
    passwords: Passwords,
    attempts: Mutex<Attempts>,
    /// Held while the rights or the access of one who manages agents are taken away.
    pub(crate) owners: tokio::sync::Mutex<()>,
}

/// For whoever is not in yet.
pub(crate) fn public_routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(sign_in)).routes(routes!(accept_invitation)).routes(routes!(read_invitation))
}

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(sign_out))
        .routes(routes!(change_password))
        .routes(routes!(invite))
        .routes(routes!(take_access))
}

/// Longer than any address or id.
const LOGIN_BYTES_MAX: usize = 300;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"login": "ana@example.com", "password": "correct horse battery staple"}))]
struct SignInBody {
    /// The agent's e-mail address or id.
    login: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

type SignedIn = (StatusCode, [(HeaderName, HeaderValue); 1], Answer<Session>);

/// Signs a person in
///
/// The answer sets a cookie that scripts cannot read; from then on the browser is that agent. After some wrong passwords
/// each further try is waited for.
#[utoipa::path(post, path = "/v1/session", tag = "session", security(()), request_body = SignInBody,
    responses((status = 201, description = "Signed in", body = Session, headers(("Set-Cookie" = String))), Problems))]
async fn sign_in(
    State(control): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<SignInBody>,
) -> Result<SignedIn, Problem> {
    not_from_another_site(&headers)?;
    let login = body.login.trim().to_lowercase();
    if login.is_empty() || login.len() > LOGIN_BYTES_MAX {
        return Err(Problem::field("login", "your e-mail address, or the id of your agent"));
    }
    control.sign_in.attempts().take(&login, control.clock.instant()).map_err(too_many)?;
    let found = control.store.login(body.login.trim()).await?;
    let (agent, hash) = found.map_or((None, None), |login| (Some(login.agent), Some(login.hash)));
    let is_right = control.sign_in.passwords.is_right(body.password, hash).await?;
    let Some(agent) = agent.filter(|_| is_right) else {
        return Err(Problem::new(
            Code::InvalidCredentials,
            "The name or the password is wrong. Whoever manages your team can send you a link to choose another.",
        ));
    };
    control.sign_in.attempts().succeeded(&login);
    begin(&control, &agent, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AcceptBody {
    /// From the link.
    #[schema(value_type = String, example = "ti_…")]
    invitation: SecretString,
    /// At least 10 characters.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Chooses a password by a link
///
/// The link is used up, whatever the agent had before it is void, and the browser is signed in.
#[utoipa::path(post, path = "/v1/session/invitation", tag = "session", security(()), request_body = AcceptBody,
    responses((status = 201, description = "Signed in", body = Session, headers(("Set-Cookie" = String))), Problems))]
async fn accept_invitation(
    State(control): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<AcceptBody>,
) -> Result<SignedIn, Problem> {
    use secrecy::ExposeSecret;
    not_from_another_site(&headers)?;
    let invitation = body.invitation.expose_secret();
    let now = control.clock.now().wall;
    // Before anything is hashed: that costs.
    let (agent, _) = control.store.invitation(invitation, now).await?.ok_or_else(used_up)?;
    let hash = new_hash(&control, &agent, "password", body.password).await?;
    let agent = control.store.accept_invitation(invitation, &hash, now).await?.ok_or_else(used_up)?;
    control.switchboard.tell_of_agent(&agent).await?;
    begin(&control, &agent, &headers).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationBody {
    /// From the link.
    #[schema(value_type = String, example = "ti_…")]
    invitation: SecretString,
}

/// Whose link it is.
#[derive(Serialize, ToSchema)]
struct Invited {
    #[schema(value_type = String, example = "agt_a")]
    agent_id: AgentId,
    name: String,
    email: Option<String>,
    team: Option<String>,
    expires_at: Timestamp,
}

/// Tells whose link this is
///
/// So that nobody chooses a password for somebody else. The link stays good. It is sent in the body, because addresses
/// are logged; and any number of times, because nobody guesses 256 random bits, while a wait that all links share would
/// let a stranger keep invited people out.
#[utoipa::path(post, path = "/v1/session/invitation/details", tag = "session", security(()), request_body = InvitationBody,
    responses((status = 200, description = "Whose it is", body = Invited), Problems))]
async fn read_invitation(
    State(control): State<Shared>,
    Json(body): Json<InvitationBody>,
) -> Result<Answer<Invited>, Problem> {
    use secrecy::ExposeSecret;
    let now = control.clock.now().wall;
    let found = control.store.invitation(body.invitation.expose_secret(), now).await?;
    let (agent, expires_at) = found.ok_or_else(used_up)?;
    let Agent { id, name, email, team_id, .. } = control.store.agent(&agent).await?.ok_or_else(used_up)?;
    let team = match team_id {
        Some(team) => control.store.team(&team).await?.map(|team| team.name),
        None => None,
    };
    Ok(Answer(Invited { agent_id: id, name, email, team, expires_at }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SignOut {
    /// All browsers of this agent, and its tokens.
    #[serde(default)]
    everywhere: bool,
}

/// Signs out
///
/// The browser's session ends at once, in all its tabs.
#[utoipa::path(delete, path = "/v1/session", tag = "session", params(SignOut),
    responses((status = 204, description = "Signed out"), Problems))]
async fn sign_out(
    State(control): State<Shared>,
    caller: Caller,
    Params(wish): Params<SignOut>,
    _: NoBody,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1]), Problem> {
    let (Some(session), Some(agent)) = (caller.session(), caller.agent_id()) else {
        let text = "A key or token is not signed in and cannot be signed out; stop sending it.";
        return Err(Problem::new(Code::WrongState, text));
    };
    match wish.everywhere {
        true => {
            control.store.end_sessions(agent).await?;
            // Open pages look at their right to it again.
            control.switchboard.tell_of_agent(agent).await?;
        }
        false => control.store.end_session(session).await?,
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie::clear(control.secure_cookies))]))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    #[schema(value_type = String, format = Password)]
    current: SecretString,
    /// At least 10 characters.
    #[schema(value_type = String, format = Password)]
    new: SecretString,
}

/// Changes the own password
///
/// All other browsers of this agent are signed out.
#[utoipa::path(put, path = "/v1/session/password", tag = "session", request_body = ChangeBody,
    responses((status = 201, description = "Changed, and signed in anew", body = Session, headers(("Set-Cookie" = String))), Problems))]
async fn change_password(
    State(control): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<ChangeBody>,
) -> Result<SignedIn, Problem> {
    let (Some(agent), true) = (caller.agent_id(), caller.session().is_some()) else {
        return Err(Problem::forbidden("Only somebody who signed in with a password may change it."));
    };
    // Somebody at an unlocked screen guesses here, too.
    control.sign_in.attempts().take(agent.as_str(), control.clock.instant()).map_err(too_many)?;
    let hash = control.store.password(agent).await?;
    if !control.sign_in.passwords.is_right(body.current, hash).await? {
        return Err(Problem::field("current", "this is not your password"));
    }
    control.sign_in.attempts().succeeded(agent.as_str());
    let hash = new_hash(&control, agent, "new", body.new).await?;
    control.store.set_password(agent, &hash, control.clock.now().wall).await?;
    begin(&control, agent, &headers).await
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InviteBody {
    /// How long it is good for: 1 minute to 30 days. Nothing: 3 days.
    expires_in_ms: Option<u64>,
}

/// A link by which an agent chooses a password.
#[derive(Serialize, ToSchema)]
struct Invitation {
    #[schema(example = "https://calls.example.com/welcome#invitation=ti_…")]
    url: String,
    expires_at: Timestamp,
}

const INVITATION_TIME: Duration = Duration::from_secs(3 * 24 * 3600);
const INVITATION_TIME_MIN: Duration = Duration::from_secs(60);
const INVITATION_TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes a link by which an agent chooses a password
///
/// For a new agent, and for one who forgot it. Whoever has the link is that agent, so give it to nobody else; it is
/// good once.
#[utoipa::path(post, path = "/v1/agents/{id}/invitations", tag = "agents",
    params(("id" = String, Path, example = "agt_a")), request_body = Option<InviteBody>,
    responses((status = 201, description = "The link, shown once", body = Invitation), Problems))]
async fn invite(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    MaybeJson(body): MaybeJson<InviteBody>,
) -> Result<(StatusCode, Answer<Invitation>), Problem> {
    caller.may_for(Action::Invite, &id)?;
    let time = body.expires_in_ms.map_or(INVITATION_TIME, Duration::from_millis);
    if !(INVITATION_TIME_MIN..=INVITATION_TIME_MAX).contains(&time) {
        return Err(Problem::field("expires_in_ms", "1 minute to 30 days: 60000 to 2592000000"));
    }
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let expires_at = control.clock.now().wall.plus(time);
    let secret = control.store.create_invitation(&id, expires_at).await?;
    control.switchboard.tell_of_agent(&id).await?;
    let url = invitation_url(&control.base_url, &secret);
    Ok((StatusCode::CREATED, Answer(Invitation { url, expires_at })))
}

/// What an invited person opens. The secret is in the fragment, which no server and no log sees.
pub fn invitation_url(base_url: &str, secret: &str) -> String {
    format!("{base_url}/welcome#invitation={secret}")
}

/// Takes an agent's access away
///
/// Its password, its links, its browsers' sessions and its tokens are void at once, and it is offline. A call that it is
/// in goes on to its end. What it did and was stays; another link lets it in again.
#[utoipa::path(delete, path = "/v1/agents/{id}/password", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    responses((status = 204, description = "Nobody can sign in as this agent"), Problems))]
async fn take_access(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.may_for(Action::Invite, &id)?;
    if caller.agent_id() == Some(&id) {
        return Err(Problem::forbidden("You would lock yourself out; let somebody else do it."));
    }
    let agent = control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let _guard = somebody_remains(&control, &caller, &id, None).await?;
    control.store.take_access(&id).await?;
    if agent.status == Presence::Online {
        control.switchboard.set_status(&id, Presence::Offline).await?;
    }
    control.switchboard.tell_of_agent(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn begin(control: &Shared, agent: &AgentId, headers: &HeaderMap) -> Result<SignedIn, Problem> {
    let session = control.store.create_session(agent, devices::client(headers), control.clock.now().wall).await?;
    let caller = Caller::with(control, &session).await?.ok_or_else(Problem::not_found)?;
    let cookie = [(SET_COOKIE, cookie::set(&session, control.secure_cookies))];
    Ok((StatusCode::CREATED, cookie, Answer(Session::of(control, &caller).await?)))
}

async fn new_hash(control: &Control, agent: &AgentId, field: &str, new: SecretString) -> Result<String, Problem> {
    let agent = control.store.agent(agent).await?.ok_or_else(Problem::not_found)?;
    let email = agent.email.as_deref().unwrap_or(agent.id.as_str());
    control.sign_in.passwords.hash(field, new, &[email, agent.id.as_str(), &agent.name]).await
}

/// Signing somebody in unawares, as somebody else, is a way to have them talk to the wrong people.
fn not_from_another_site(headers: &HeaderMap) -> Result<(), Problem> {
    match cookie::is_cross_site(headers) {
        true => Err(Problem::new(Code::CrossSite, "Sign in on the console's own page.")),
        false => Ok(()),
    }
}

fn too_many(left: Duration) -> Problem {
    let seconds = left.as_secs() + 1;
    Problem::new(Code::TooManyAttempts, format!("Too many wrong passwords; try again in {seconds} s."))
}

fn used_up() -> Problem {
    let text = "This link was used, or it is too old. Ask whoever manages your team for another.";
    Problem::new(Code::InvalidCredentials, text)
}

impl SignIn {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
