//! What both parties are told before a call is recorded: sound files, chosen by who is called.

use std::path::PathBuf;

use aws_lc_rs::digest;
use hound::{SampleFormat, WavReader, WavSpec};

use crate::audio::RATE_HZ;
use crate::media::Prompt;
use crate::model::country::Country;
use crate::model::id::{NumberId, TeamId};

/// What the file has to be.
const SOUND: WavSpec =
    WavSpec { channels: 1, sample_rate: RATE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };
/// People wait for its end before they can talk.
const SECONDS_MAX: u32 = 60;

/// One `[[recording.announcement]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnouncementConfig {
    /// A WAV of 16 kHz, mono, 16 bits.
    pub file: PathBuf,
    /// ISO 639-1, for the proof.
    pub language: String,
    /// The customers' countries it is for; empty = all.
    #[serde(default)]
    pub countries: Vec<String>,
    /// The business numbers it is for; empty = all.
    #[serde(default)]
    pub numbers: Vec<NumberId>,
    /// The teams whose agents' calls it is for; empty = all.
    #[serde(default)]
    pub teams: Vec<TeamId>,
    /// What the customer may press against being recorded; absent = nothing.
    #[serde(default)]
    pub opt_out_key: Option<char>,
}

impl AnnouncementConfig {
    pub(super) fn errors(&self) -> impl Iterator<Item = AnnouncementError> + '_ {
        let unfit = |what: &'static str, why: String| AnnouncementError::Unfit { what, why };
        let countries = self.countries.iter().filter_map(move |code| {
            Country::parse(code).err().map(|error| unfit("recording.announcement.countries", error.to_string()))
        });
        let is_code = (2..=3).contains(&self.language.len()) && self.language.bytes().all(|b| b.is_ascii_lowercase());
        let language = (!is_code).then(|| {
            let why = format!("\"{}\" is no language: write two letters, e.g. \"en\"", self.language);
            unfit("recording.announcement.language", why)
        });
        let key = self.opt_out_key.filter(|key| !matches!(key, '0'..='9' | '*' | '#'));
        let key = key.map(|key| {
            let why = format!("a phone has no key \"{key}\": write one of 0-9 * #, or leave it out");
            unfit("recording.announcement.opt_out_key", why)
        });
        countries.chain(language).chain(key)
    }
}

/// Why an announcement cannot be made. The gateway does not start then: it would record whom it has to tell first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    #[error("{what}: {why}")]
    Unfit { what: &'static str, why: String },
    #[error(
        "recording.announcement.file: {} {why}. Make it a WAV of 16 kHz, mono, 16 bits, at most {SECONDS_MAX} s long, \
         e.g. with `sox IN -r 16000 -c 1 -b 16 OUT.wav`",
        .file.display()
    )]
    File { file: PathBuf, why: String },
}

/// An announcement, ready to be played.
#[derive(Clone, Debug)]
pub struct Announcement {
    pub prompt: Prompt,
    pub language: String,
    /// Of the file, lower-case hex.
    pub sha256: String,
    pub opt_out_key: Option<char>,
    countries: Vec<Country>,
    numbers: Vec<NumberId>,
    teams: Vec<TeamId>,
}

/// All announcements, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Announcements(Vec<Announcement>);

impl Announcements {
    /// Reads and encodes the files.
    ///
    /// # Errors
    /// [`AnnouncementError`] of the first that cannot be used.
    pub fn load(configs: &[AnnouncementConfig]) -> Result<Self, AnnouncementError> {
        configs.iter().map(Announcement::load).collect::<Result<_, _>>().map(Self)
    }

    /// What is to be announced in a call of this number, an agent of this team and a customer there: the first that fits. A
    /// customer whose country is unknown is told what is for all countries, an agent without a team what is for all teams.
    pub fn of(&self, number: &NumberId, country: Option<Country>, team: Option<&TeamId>) -> Option<&Announcement> {
        fn fits<T: PartialEq>(wanted: &[T], given: Option<&T>) -> bool {
            wanted.is_empty() || given.is_some_and(|given| wanted.contains(given))
        }
        self.0.iter().find(|one| {
            fits(&one.numbers, Some(number)) && fits(&one.countries, country.as_ref()) && fits(&one.teams, team)
        })
    }

    /// Whether the agent's team matters at all.
    pub fn ask_for_teams(&self) -> bool {
        self.0.iter().any(|one| !one.teams.is_empty())
    }
}

impl Announcement {
    fn load(config: &AnnouncementConfig) -> Result<Self, AnnouncementError> {
        if let Some(error) = config.errors().next() {
            return Err(error);
        }
        let unusable = |why: String| AnnouncementError::File { file: config.file.clone(), why };
        let bytes = std::fs::read(&config.file).map_err(|error| unusable(format!("cannot be read ({error})")))?;
        let pcm = samples(&bytes).map_err(unusable)?;
        Ok(Self {
            prompt: Prompt::encode(&pcm),
            language: config.language.clone(),
            sha256: hex::encode(digest::digest(&digest::SHA256, &bytes)),
            opt_out_key: config.opt_out_key,
            countries: config.countries.iter().filter_map(|code| Country::parse(code).ok()).collect(),
            numbers: config.numbers.clone(),
            teams: config.teams.clone(),
        })
    }
}

fn samples(wav: &[u8]) -> Result<Vec<i16>, String> {
    let mut wav = WavReader::new(wav).map_err(|error| format!("is no WAV ({error})"))?;
    let spec = wav.spec();
    if spec != SOUND {
        let WavSpec { channels, sample_rate, bits_per_sample, .. } = spec;
        return Err(format!("has {sample_rate} Hz, {channels} channel(s), {bits_per_sample} bits"));
    }
    let seconds = wav.duration().div_ceil(RATE_HZ);
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(format!("is {seconds} s long"));
    }
    wav.samples().collect::<Result<_, _>>().map_err(|error| format!("is damaged ({error})"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn wav(dir: &Path, name: &str, spec: WavSpec, samples: u32) -> PathBuf {
        let path = dir.join(name);
        let mut wav = hound::WavWriter::create(&path, spec).unwrap();
        (0..samples).for_each(|i| wav.write_sample((i % 100) as i16).unwrap());
        wav.finalize().unwrap();
        path
    }

    fn config(file: PathBuf, countries: &[&str], numbers: &[&str]) -> AnnouncementConfig {
        AnnouncementConfig {
            file,
            language: "en".to_owned(),
            countries: countries.iter().map(ToString::to_string).collect(),
            numbers: numbers.iter().map(|number| number.parse().unwrap()).collect(),
            teams: Vec::new(),
            opt_out_key: Some('9'),
        }
    }

    #[test]
    fn the_first_announcement_that_fits_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let [german, number, rest] =
            [16_000, 17_000, 18_000].map(|samples| wav(dir.path(), &format!("{samples}.wav"), SOUND, samples));
        let all = Announcements::load(&[
            config(german, &["DE", "AT"], &[]),
            config(number, &[], &["num_2"]),
            config(rest, &[], &[]),
        ])
        .unwrap();
        let length = |number: &str, country: Option<&str>| {
            let country = country.map(|code| Country::parse(code).unwrap());
            all.of(&number.parse().unwrap(), country, None).unwrap().prompt.duration().as_millis()
        };
        assert_eq!(length("num_1", Some("DE")), 1_000);
        assert_eq!(length("num_2", Some("AT")), 1_000);
        assert_eq!(length("num_2", Some("GB")), 1_080);
        assert_eq!(length("num_1", Some("GB")), 1_140);
        assert_eq!(length("num_1", None), 1_140);
        let some = Announcements(all.0[..1].to_vec());
        assert!(some.of(&"num_1".parse().unwrap(), None, None).is_none());
        assert!(!some.ask_for_teams());
    }

    #[test]
    fn a_team_may_have_an_announcement_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let [sales, rest] = [16_000, 17_000].map(|samples| wav(dir.path(), &format!("{samples}.wav"), SOUND, samples));
        let teams = vec![TeamId::parse("team_sales").unwrap(), TeamId::parse("team_shop").unwrap()];
        let all = [AnnouncementConfig { teams, ..config(sales, &["GB"], &[]) }, config(rest, &[], &[])];
        let all = Announcements::load(&all).unwrap();
        assert!(all.ask_for_teams());
        let length = |team: Option<&str>, country| {
            let team = team.map(|team| TeamId::parse(team).unwrap());
            let told = all.of(&"num_1".parse().unwrap(), Some(Country::parse(country).unwrap()), team.as_ref());
            told.unwrap().prompt.duration().as_millis()
        };
        assert_eq!(length(Some("team_sales"), "GB"), 1_000);
        assert_eq!(length(Some("team_shop"), "GB"), 1_000);
        assert_eq!(length(Some("team_sales"), "DE"), 1_080);
        assert_eq!(length(Some("team_help"), "GB"), 1_080);
        assert_eq!(length(None, "GB"), 1_080);
    }

    #[test]
    fn what_cannot_be_announced_is_said_with_its_mending() {
        let dir = tempfile::tempdir().unwrap();
        let fine = wav(dir.path(), "fine.wav", SOUND, 16_000);
        #[track_caller]
        fn check(config: AnnouncementConfig, says: &str) {
            let error = Announcements::load(&[config]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        check(config(dir.path().join("gone.wav"), &[], &[]), "gone.wav cannot be read");
        let stereo = wav(dir.path(), "stereo.wav", WavSpec { channels: 2, ..SOUND }, 1_000);
        check(config(stereo, &[], &[]), "has 16000 Hz, 2 channel(s), 16 bits. Make it a WAV of 16 kHz, mono");
        let fast = wav(dir.path(), "fast.wav", WavSpec { sample_rate: 44_100, ..SOUND }, 1_000);
        check(config(fast, &[], &[]), "44100 Hz");
        check(config(wav(dir.path(), "empty.wav", SOUND, 0), &[], &[]), "is 0 s long");
        check(config(wav(dir.path(), "long.wav", SOUND, 16_000 * 60 + 1), &[], &[]), "is 61 s long");
        let text = dir.path().join("text.wav");
        std::fs::write(&text, "This call is recorded.").unwrap();
        check(config(text, &[], &[]), "is no WAV");
        check(config(fine.clone(), &["Germany"], &[]), "`Germany` is not a country");
        check(AnnouncementConfig { opt_out_key: Some('x'), ..config(fine.clone(), &[], &[]) }, "no key \"x\"");
        check(AnnouncementConfig { language: "English".into(), ..config(fine, &[], &[]) }, "is no language");
    }
}
