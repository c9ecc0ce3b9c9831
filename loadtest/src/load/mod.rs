//! Many calls at once through a running gateway, and what it cost.
//!
//! Both ends of every call live in this process, so each packet's way is measured from the sender's write to the
//! receiver's read. The same is measured between two endpoints without a gateway ([`baseline`]): what that shows is
//! this machine's own delay, and a run whose generator was late is refused.

mod baseline;
mod process;
mod provision;
mod report;
mod run;

pub use baseline::baseline;
pub use process::{ProcessFigures, ProcessWatch};
pub use report::{Direction, Disturbed, Percentiles, Report, Verdict};
pub use run::{LoadConfig, run};

use std::sync::{Arc, OnceLock};

use crate::audio::opus_frames::EncodedSound;
use crate::peer::probe::{DelayMeter, Ear, SentTimes};
use crate::peer::{Part, Peer};
use crate::sound::Sound;

/// Lets `from` speak and `to` measure; the result collects the delays.
fn probe(from: &Peer, to: &Peer, sound: &Arc<EncodedSound>) -> Arc<DelayMeter> {
    let frames = sound.frames().len();
    let (sent, meter) = (SentTimes::new(frames), Arc::new(DelayMeter::default()));
    to.watch(Ear { sound: Arc::clone(sound), sent: Arc::clone(&sent), meter: Arc::clone(&meter) });
    from.mark(sent);
    // Each call begins at another place, so that another call's audio is noticed.
    from.add(vec![Part::Loop { frames: Arc::clone(sound), start: rand::random_range(0..frames) }]);
    meter
}

/// What customers say in load runs: words, with noise so that no two frames are alike.
fn customers_sound() -> Arc<EncodedSound> {
    static SOUND: OnceLock<Arc<EncodedSound>> = OnceLock::new();
    Arc::clone(SOUND.get_or_init(|| Sound::caller().with_noise(1).encoded()))
}

/// What agents say: the same words over another noise.
fn agents_sound() -> Arc<EncodedSound> {
    static SOUND: OnceLock<Arc<EncodedSound>> = OnceLock::new();
    Arc::clone(SOUND.get_or_init(|| Sound::caller().with_noise(2).encoded()))
}
