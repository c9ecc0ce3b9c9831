//! Debian's Chromium under its driver, with a WAV file for a microphone.

use std::f32::consts::TAU;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use thirtyfour::error::{WebDriverError, WebDriverErrorInner};
use thirtyfour::prelude::*;
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Browser {
    driver: WebDriver,
    shots: std::path::PathBuf,
    _process: Child,
}

impl Browser {
    /// `microphone_hz`: what the fake microphone hums, for ever.
    pub(crate) async fn start(dir: &Path, microphone_hz: f32) -> Self {
        let microphone = dir.join("microphone.wav");
        hum(&microphone, microphone_hz);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
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
        capabilities.add_arg(&format!("--user-data-dir={}", dir.join("chromium").display())).unwrap();
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
        Self { driver, shots, _process: process }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.driver.refresh().await.unwrap();
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

    pub(crate) async fn click_css(&self, css: &str) {
        while let Err(error) = self.find(css).await.click().await {
            assert!(is_stale(&error), "{css}: {error}");
        }
    }

    /// Types at whatever has the focus.
    pub(crate) async fn keys(&self, keys: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
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

    /// Runs a script in the page and returns its value.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// The loudest frequency of what the page plays from the call, over half a second.
    pub(crate) async fn remote_peak_hz(&self) -> f64 {
        let script = r"
            const done = arguments[arguments.length - 1];
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
        self.driver.execute_async(script, Vec::new()).await.unwrap().json().as_f64().unwrap()
    }

    /// Errors in the page's console, a refused script of the security policy among them.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let script = "return (window.__tandem && window.__tandem.errors) || [];";
        serde_json::from_value(self.run(script).await).unwrap_or_default()
    }

    /// Keeps a picture for people to look at.
    pub(crate) async fn screenshot(&self, name: &str) {
        self.driver.screenshot(&self.shots.join(format!("{name}.png"))).await.unwrap();
    }

    pub(crate) async fn quit(self) {
        self.driver.quit().await.unwrap();
    }

    async fn find(&self, css: &str) -> WebElement {
        loop {
            let query = self.driver.query(By::Css(css)).wait(SOON, Duration::from_millis(20)).and_displayed();
            match query.first().await {
                Ok(element) => return element,
                Err(error) => assert!(is_stale(&error), "{css} does not appear: {error}"),
            }
        }
    }
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
