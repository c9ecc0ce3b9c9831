//! How the fake is set up, and what a customer does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::external::ExternalPhone;
use super::faults::WebhookFaults;
use super::rules::Rules;
use super::sdp::{SdpStyle, Setup};
use crate::peer::Part;
use crate::sound::Sound;

/// How the fake WhatsApp is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the Graph API listens. Port 0 picks one.
    pub listen: SocketAddr,
    /// Where webhooks go. Without one they are kept in the log only ([`super::FakeWhatsApp::set_webhook_url`]).
    pub webhook_url: Option<String>,
    /// Key of the webhook signatures.
    pub app_secret: String,
    /// What the receiver of webhooks must know at the verification.
    pub verify_token: String,
    /// What Graph requests must carry as bearer token.
    pub graph_token: String,
    /// Id in `entry[].id`.
    pub account_id: String,
    /// The business's numbers. The first one is the default of an [`InboundCall`].
    pub numbers: Vec<BusinessNumber>,
    /// Where the phones' media sockets are bound.
    pub media_ip: IpAddr,
    /// 0: each phone has a UDP socket of its own. n: the phones share n sockets, as calls share Meta's relays.
    pub relays: usize,
    /// Also offer an IPv6 candidate (of the documentation block), as live offers do.
    pub ipv6_candidate: bool,
    /// Threads for the phones' media.
    pub media_threads: usize,
    /// How long a user-initiated call rings before "Not answered". Meta: about 30 to 60 s.
    pub ring_timeout: Duration,
    /// How long a customer's phone rings when nobody picks up.
    pub outbound_ring_timeout: Duration,
    /// No media from the business for this long after the pick-up ends the call. Meta: 20 s.
    pub silence_at_start: Duration,
    /// No media for this long later ends it too. Meta: 30 s.
    pub silence_later: Duration,
    /// An unanswered webhook POST is given up after this. Meta: about 20 s.
    pub webhook_timeout: Duration,
    /// Pause before the first retry of a webhook; it doubles each time.
    pub webhook_retry_pause: Duration,
    /// Attempts per webhook.
    pub webhook_attempts: u32,
    /// Refuse business-initiated calls without a granted permission (138006).
    pub enforce_permission: bool,
    /// What a minute of a business-initiated call costs, in US dollars, in call analytics.
    pub price_per_minute: f64,
    /// Meta's limits, and whether they are enforced.
    pub rules: Rules,
    /// `GET call_permissions` names the end of a permission `expiration`, as Meta's table does, instead of
    /// `expiration_time`, as its sample does.
    pub expiration_as_in_table: bool,
    /// Keep what the phones hear. Load runs turn it off.
    pub listen_to_media: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            webhook_url: None,
            app_secret: "sandbox-app-secret".to_owned(),
            verify_token: "sandbox-verify-token".to_owned(),
            graph_token: "sandbox-graph-token".to_owned(),
            account_id: "200000000000002".to_owned(),
            numbers: vec![BusinessNumber { id: "100000000000001".to_owned(), display: "995322000111".to_owned() }],
            media_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            relays: 0,
            ipv6_candidate: true,
            media_threads: 1,
            ring_timeout: Duration::from_secs(40),
            outbound_ring_timeout: Duration::from_secs(40),
            silence_at_start: Duration::from_secs(20),
            silence_later: Duration::from_secs(30),
            webhook_timeout: Duration::from_secs(20),
            webhook_retry_pause: Duration::from_secs(1),
            webhook_attempts: 8,
            enforce_permission: false,
            price_per_minute: 0.0095,
            rules: Rules::default(),
            expiration_as_in_table: false,
            listen_to_media: true,
        }
    }
}

/// A number of the business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusinessNumber {
    /// Meta's `phone_number_id`.
    pub id: String,
    /// The number in digits.
    pub display: String,
}

/// A person on WhatsApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// The number in digits, without `+`.
    pub phone: String,
    /// Meta's business-scoped id.
    pub user_id: String,
    /// Profile name.
    pub name: Option<String>,
    /// Chosen user name.
    pub username: Option<String>,
}

impl Customer {
    /// Somebody with this number (digits; a leading `+` is dropped) and a user id made from it.
    pub fn new(phone: &str) -> Self {
        let phone = phone.trim_start_matches('+').to_owned();
        Self { user_id: format!("GE.1{phone:0>18}"), phone, name: None, username: None }
    }

    /// With a profile name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}

/// What the customer does when called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Picks up after this time.
    After(Duration),
    /// Declines after this time.
    Decline(Duration),
    /// Lets it ring.
    Ignore,
}

/// One step of a customer's call, once the call is answered and media flows.
#[derive(Clone, Debug)]
pub enum Step {
    /// Says this.
    Speak(Sound),
    /// Says this again and again.
    SpeakForever(Sound),
    /// Is quiet (room silence is still sent).
    Wait(Duration),
    /// Presses keys.
    Dtmf(String),
    /// Sends no RTP any more.
    FallSilent,
    /// Loses the network.
    DropNetwork,
    /// Hangs up.
    HangUp,
}

impl From<Step> for Part {
    fn from(step: Step) -> Self {
        match step {
            Step::Speak(sound) => Self::Sound { frames: sound.encoded(), forever: false },
            Step::SpeakForever(sound) => Self::Sound { frames: sound.encoded(), forever: true },
            Step::Wait(length) => Self::Pause(length),
            Step::Dtmf(keys) => Self::Keys(keys),
            Step::FallSilent => Self::FallSilent,
            Step::DropNetwork => Self::DropNetwork,
            Step::HangUp => Self::HangUp,
        }
    }
}

/// How a customer behaves in one call.
#[derive(Clone, Debug)]
pub struct Script {
    /// Reaction to a business-initiated call.
    pub answer: Answer,
    /// When the phone starts to ring in a business-initiated call; `None`: no RINGING is ever reported.
    pub ringing: Option<Duration>,
    /// What happens once the call is answered and media flows.
    pub steps: Vec<Step>,
    /// Gives up while it still rings at the business (user-initiated).
    pub hang_up_ringing: Option<Duration>,
    /// Hangs up this long after the pick-up.
    pub hang_up_after: Option<Duration>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            answer: Answer::After(Duration::from_secs(1)),
            ringing: Some(Duration::from_millis(200)),
            steps: Vec::new(),
            hang_up_ringing: None,
            hang_up_after: None,
        }
    }
}

impl Script {
    /// Picks up after this time.
    pub fn answers_after(delay: Duration) -> Self {
        Self { answer: Answer::After(delay), ..Self::default() }
    }

    /// Declines after this time.
    pub fn declines_after(delay: Duration) -> Self {
        Self { answer: Answer::Decline(delay), ..Self::default() }
    }

    /// Lets it ring.
    pub fn ignores() -> Self {
        Self { answer: Answer::Ignore, ..Self::default() }
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds words.
    #[must_use]
    pub fn says(self, sound: Sound) -> Self {
        self.step(Step::Speak(sound))
    }
}

/// What happens to the webhooks of a call before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// They are sent.
    #[default]
    None,
    /// All are held back until [`super::CallHandle::release`].
    All,
    /// All but `connect` are held back.
    AfterConnect,
}

/// The technical side of one call.
#[derive(Clone)]
pub struct CallOptions {
    /// How the SDP is written.
    pub sdp_style: SdpStyle,
    /// `a=setup` of the answer to a business-initiated call.
    pub setup: Setup,
    /// Business-initiated: the `connect` webhook arrives before the HTTP response.
    pub connect_before_response: bool,
    /// Business-initiated: time from the response to the `connect` webhook.
    pub connect_delay: Duration,
    /// Business-initiated: the ACCEPTED webhook comes this long after the pick-up (it is only audit information).
    pub accepted_delay: Duration,
    /// Overrides the ring time-outs of [`Config`].
    pub ring_timeout: Option<Duration>,
    /// Hold webhooks back.
    pub hold: Hold,
    /// Overrides the faults of all calls.
    pub faults: Option<WebhookFaults>,
    /// User-initiated: `terminate` is sent before `connect` (the caller hung up within a second).
    pub terminate_first: bool,
    /// The phone sends no RTP before it has received some, as Meta's side does.
    pub waits_for_first_packet: bool,
    /// The phone's media is somebody else's WebRTC stack.
    pub external: Option<Arc<dyn ExternalPhone>>,
    /// From a call button.
    pub cta_payload: Option<String>,
    /// From a call link.
    pub deeplink_payload: Option<String>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            sdp_style: SdpStyle::Live,
            setup: Setup::Passive,
            connect_before_response: false,
            connect_delay: Duration::from_millis(50),
            accepted_delay: Duration::ZERO,
            ring_timeout: None,
            hold: Hold::None,
            faults: None,
            terminate_first: false,
            waits_for_first_packet: true,
            external: None,
            cta_payload: None,
            deeplink_payload: None,
        }
    }
}

/// A call that a customer makes (user-initiated).
#[derive(Clone)]
pub struct InboundCall {
    /// Who calls.
    pub from: Customer,
    /// The business number; `None` is the first one of the [`Config`].
    pub number_id: Option<String>,
    /// What the customer does.
    pub script: Script,
    /// The technical side.
    pub options: CallOptions,
}

impl InboundCall {
    /// A call from this number, by a patient caller who says nothing.
    pub fn from(phone: &str) -> Self {
        Self { from: Customer::new(phone), number_id: None, script: Script::default(), options: CallOptions::default() }
    }

    /// With a profile name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.from = self.from.named(name);
        self
    }

    /// To this business number.
    #[must_use]
    pub fn to_number(mut self, number_id: &str) -> Self {
        self.number_id = Some(number_id.to_owned());
        self
    }

    /// Says this once the call is answered.
    #[must_use]
    pub fn says(mut self, sound: Sound) -> Self {
        self.script = self.script.says(sound);
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.script = self.script.step(step);
        self
    }

    /// Gives up after this time of ringing.
    #[must_use]
    pub fn hangs_up_ringing(mut self, after: Duration) -> Self {
        self.script.hang_up_ringing = Some(after);
        self
    }

    /// Hangs up this long after the pick-up.
    #[must_use]
    pub fn hangs_up_after(mut self, after: Duration) -> Self {
        self.script.hang_up_after = Some(after);
        self
    }

    /// With these options.
    #[must_use]
    pub fn with(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }
}
