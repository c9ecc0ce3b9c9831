//! Debian's Chromium under its driver, with a WAV file for a microphone.

mod eyes;
mod faults;
mod worker;

use std::f32::consts::TAU;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::error::{WebDriverError, WebDriverErrorInner};
use thirtyfour::prelude::*;
use thirtyfour::{LoggingPrefsLogLevel, WindowHandle};
use tokio::process::{Child, Command};

pub(crate) use eyes::{Size, Theme};

const SOON: Duration = Duration::from_secs(20);

/// One browser of one person: what it stores it shares with no other.
pub(crate) struct Browser {
    driver: WebDriver,
    /// What it is looked at in; a new tab gets the same.
    looks: Mutex<(Size, Theme)>,
    faults: Mutex<Vec<String>>,
    shots: PathBuf,
    /// Where it keeps what it knows, and says on which port it can be debugged.
    profile: PathBuf,
    _process: Child,
}

impl Browser {
    /// `microphone_hz`: what the fake microphone hums, for ever.
    pub(crate) async fn start(dir: &Path, microphone_hz: f32) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = dir.join(format!("browser-{port}"));
        std::fs::create_dir(&dir).unwrap();
        let microphone = dir.join("microphone.wav");
        hum(&microphone, microphone_hz);
        let process = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed by `make setup-test`");
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            "--autoplay-policy=no-user-gesture-required",
            // Without it the browser offers only the machine's outside addresses.
            "--allow-loopback-in-peer-connection",
            "--window-size=1280,720",
        ] {
            capabilities.add_arg(argument).unwrap();
        }
        capabilities.add_arg(&format!("--use-file-for-fake-audio-capture={}", microphone.display())).unwrap();
        let profile = dir.join("profile");
        capabilities.add_arg(&format!("--user-data-dir={}", profile.display())).unwrap();
        capabilities.set_browser_log_level(LoggingPrefsLogLevel::Severe).unwrap();
        // Nobody is there to allow what a person would.
        capabilities
            .add_experimental_option(
                "prefs",
                serde_json::json!({"profile.default_content_setting_values.notifications": 1}),
            )
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let deadline = tokio::time::Instant::now() + SOON;
        let driver = loop {
            match WebDriver::new(&url, capabilities.clone()).await {
                Ok(driver) => break driver,
                Err(error) => assert!(tokio::time::Instant::now() < deadline, "the browser does not start: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        driver.set_script_timeout(SOON).await.unwrap();
        let shots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&shots).unwrap();
        let looks = Mutex::new((Size::Desk, Theme::Light));
        let browser = Self { driver, looks, faults: Mutex::default(), shots, profile, _process: process };
        browser.look(Size::Desk, Theme::Light).await;
        browser
    }

    pub(crate) async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.driver.refresh().await.unwrap();
    }

    /// The tab that the next commands go to.
    pub(crate) async fn tab(&self) -> WindowHandle {
        self.driver.window().await.unwrap()
    }

    /// Opens another tab of the same browser and turns to it.
    pub(crate) async fn open_tab(&self, url: &str) -> WindowHandle {
        let tab = self.driver.new_tab().await.unwrap();
        self.turn_to(&tab).await;
        self.open(url).await;
        tab
    }

    pub(crate) async fn turn_to(&self, tab: &WindowHandle) {
        self.driver.switch_to_window(tab.clone()).await.unwrap();
        let (size, theme) = *self.looks.lock().unwrap();
        self.look(size, theme).await;
    }

    /// Closes the tab, as its user does. Turn to another one then.
    pub(crate) async fn close_tab(&self) {
        self.driver.close_window().await.unwrap();
    }

    pub(crate) async fn appears(&self, test_id: &str) -> WebElement {
        self.find(&by(test_id)).await
    }

    pub(crate) async fn is_there(&self, test_id: &str) -> bool {
        self.driver.find(By::Css(by(test_id))).await.is_ok()
    }

    pub(crate) async fn vanishes(&self, test_id: &str) {
        let deadline = tokio::time::Instant::now() + SOON;
        while self.is_there(test_id).await {
            assert!(tokio::time::Instant::now() < deadline, "{test_id} does not go away");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn click(&self, test_id: &str) {
        self.click_css(&by(test_id)).await;
    }

    /// As a person does: as soon as it can be pressed.
    pub(crate) async fn click_css(&self, css: &str) {
        let css = format!(":is({css}):not(:disabled)");
        let deadline = tokio::time::Instant::now() + SOON;
        while let Err(error) = self.find(&css).await.click().await {
            let is_passing = is_stale(&error) || is_covered(&error) && tokio::time::Instant::now() < deadline;
            assert!(is_passing, "{css}: {error}");
        }
    }

    /// Empties a field and types into it.
    pub(crate) async fn fill(&self, test_id: &str, text: &str) {
        loop {
            let field = self.appears(test_id).await;
            let written = async {
                field.send_keys(Key::Control + "a").await?;
                field.send_keys(Key::Delete + "").await?;
                field.send_keys(text).await
            };
            match written.await {
                Ok(()) => return,
                Err(error) => assert!(is_stale(&error), "{test_id}: {error}"),
            }
        }
    }

    /// Presses keys wherever the focus is.
    pub(crate) async fn press(&self, keys: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// Presses a key while Alt and Shift are held.
    pub(crate) async fn press_alt_shift(&self, key: char) {
        let held = self.driver.action_chain().key_down(Key::Alt).key_down(Key::Shift);
        held.key_down(key).key_up(key).key_up(Key::Shift).key_up(Key::Alt).perform().await.unwrap();
    }

    pub(crate) async fn text(&self, test_id: &str) -> String {
        loop {
            match self.appears(test_id).await.text().await {
                Ok(text) => return text,
                Err(error) => assert!(is_stale(&error), "{test_id}: {error}"),
            }
        }
    }

    pub(crate) async fn attribute(&self, css: &str, name: &str) -> String {
        loop {
            match self.find(css).await.attr(name).await {
                Ok(value) => return value.unwrap_or_default(),
                Err(error) => assert!(is_stale(&error), "{css}: {error}"),
            }
        }
    }

    /// Waits until a script returns this: what comes by an event or an answer is not there at once.
    pub(crate) async fn reads(&self, script: &str, wanted: impl Into<Value>) {
        let wanted = wanted.into();
        self.comes_to(script, async || self.run(script).await, |read| *read == wanted, &wanted).await;
    }

    /// Waits until an element's text is this.
    pub(crate) async fn shows(&self, test_id: &str, wanted: &str) {
        self.comes_to(test_id, async || self.text(test_id).await, |text| text == wanted, wanted).await;
    }

    /// Waits until an element's text has this in it.
    pub(crate) async fn says(&self, test_id: &str, part: &str) {
        self.comes_to(test_id, async || self.text(test_id).await, |text| text.contains(part), part).await;
    }

    /// Waits until an attribute is this.
    pub(crate) async fn has(&self, css: &str, name: &str, wanted: &str) {
        self.comes_to(css, async || self.attribute(css, name).await, |value| value == wanted, wanted).await;
    }

    async fn comes_to<T: Debug>(
        &self,
        what: &str,
        look: impl AsyncFn() -> T,
        fits: impl Fn(&T) -> bool,
        wanted: impl Debug,
    ) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let seen = look().await;
            if fits(&seen) {
                return;
            }
            if tokio::time::Instant::now() > deadline {
                self.screenshot("failed").await;
                panic!("{what} is {seen:?}, not {wanted:?}, see target/screenshots/failed.png");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a script in the page and returns its value.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Runs a script that calls `done(value)` in its time.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        self.driver.execute_async(script, Vec::new()).await.unwrap().json().clone()
    }

    /// The loudest frequency of what the page plays from the call, over half a second.
    pub(crate) async fn remote_peak_hz(&self) -> f64 {
        let script = r"
            const stream = document.getElementById('remote-audio').srcObject;
            if (!stream) return void setTimeout(() => done(0), 250);
            const context = new AudioContext({ sampleRate: 48000 });
            const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
            context.createMediaStreamSource(stream).connect(analyser);
            setTimeout(() => {
              const bins = new Float32Array(analyser.frequencyBinCount);
              analyser.getFloatFrequencyData(bins);
              const loudest = bins.reduce((best, level, bin) => (level > bins[best] ? bin : best), 1);
              context.close();
              done(bins[loudest] > -80 ? loudest * 48000 / 8192 : 0);
            }, 500);";
        self.run_async(script).await.as_f64().unwrap()
    }

    pub(crate) async fn quit(self) {
        self.driver.quit().await.unwrap();
    }

    /// The displayed element, once there is one.
    pub(crate) async fn find(&self, css: &str) -> WebElement {
        loop {
            let query = self.driver.query(By::Css(css)).wait(SOON, Duration::from_millis(20)).and_displayed();
            match query.first().await {
                Ok(element) => return element,
                Err(error) if is_stale(&error) => {}
                Err(error) => {
                    self.screenshot("failed").await;
                    let faults = self.errors().await;
                    panic!("{css} does not appear, see target/screenshots/failed.png: {error}\n{faults:#?}");
                }
            }
        }
    }
}

/// Something lies over it that may go: a message, a dialog that is being closed.
fn is_covered(error: &WebDriverError) -> bool {
    matches!(**error, WebDriverErrorInner::ElementClickIntercepted(_))
}

/// The page has drawn itself anew between two looks at the same element: look again.
fn is_stale(error: &WebDriverError) -> bool {
    matches!(**error, WebDriverErrorInner::StaleElementReference(_))
}

fn by(test_id: &str) -> String {
    format!("[data-testid={test_id}]")
}

/// Chromium repeats the file, so it holds whole periods.
fn hum(path: &Path, hz: f32) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..480_000_u32 {
        wav.write_sample(((TAU * hz * n as f32 / 48_000.0).sin() * 12_000.0) as i16).unwrap();
    }
    wav.finalize().unwrap();
}
