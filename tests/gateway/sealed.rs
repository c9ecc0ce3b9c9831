//! Recordings that nobody reads without the key, and that prove what they are.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::world::{NINO, SOON, World};

#[tokio::test]
async fn a_sealed_call_is_heard_again_after_a_kill_and_proves_itself_to_others() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("sealing.key");
    std::fs::write(&key, tandem(&["key", "generate"]).await.stdout).unwrap();
    let config = format!("[recording]\nencryption_key_file = {key:?}\n");
    let mut world = World::with(&config, Default::default()).await;
    let agent = world.agent("agt_a").await;
    let voice = Sound::beeps(10);
    let phone = world.wa.call(InboundCall::from(NINO).step(Step::Speak(voice.clone()))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    let heard = phone.stats().packets_received;
    world.until("they go on talking", async || phone.stats().packets_received > heard + 75).await;
    world.gateway.kill().await;
    no_sound_in(&world.dir.path().join("data"));
    world.restart().await;

    let call = world.settled(&talk.call_id).await;
    assert_eq!(call["recording"]["state"], "ready", "{call}");
    let (customer, _) = world.recording(&talk.call_id).await;
    assert_eq!(measure::beeps_heard(&customer, 10), (0..10).collect::<Vec<_>>());
    no_sound_in(&world.dir.path().join("data"));
    let path = format!("calls/{}/recording", talk.call_id);
    let played = world.gateway.request("GET", &path, None).await;
    assert_eq!(played.headers["content-length"], played.body.len().to_string().as_str());

    // Whoever has the files and the public key needs nothing else.
    let toml = world.dir.path().join("tandem.toml");
    let toml = toml.to_str().unwrap();
    let public = tandem(&["key", "public", "--config", toml]).await;
    let public = String::from_utf8(public.stdout).unwrap();
    let manifest = world.get(&format!("{path}/manifest")).await;
    assert_eq!(
        (manifest["call_id"].as_str(), manifest["public_key"].as_str()),
        (Some(talk.call_id.as_str()), Some(public.trim()))
    );
    let chained = manifest["chained_before_crash_ms"].as_i64().unwrap();
    assert!(manifest["duration_ms"].as_i64().unwrap() - chained <= 2_000, "{manifest}");
    let away = tempfile::tempdir().unwrap();
    let file = take_along(&world.dir.path().join("data/recordings"), away.path());
    let verify = async |file: &Path| {
        let done = tandem(&["verify", file.to_str().unwrap(), "--public-key", public.trim()]).await;
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = verify(&file).await;
    assert!(code == Some(0) && said.starts_with("OK: rec_") && said.contains("which was not given"), "{said}");
    let out = away.path().join("open.wav");
    let arguments = [
        "decrypt",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--encryption-key-file",
        key.to_str().unwrap(),
    ];
    assert!(tandem(&arguments).await.status.success());
    assert_eq!(std::fs::read(&out).unwrap(), played.body);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[50_000] ^= 0x20;
    std::fs::write(&file, bytes).unwrap();
    let (code, said) = verify(&file).await;
    assert!(code == Some(2) && said.contains("was altered between bytes") && said.contains("heard from 0."), "{said}");

    // An export is open, and proves itself as well.
    let zip = world.gateway.request("GET", "calls.zip", None).await;
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip.body)).unwrap();
    zip.extract(away.path().join("zip")).unwrap();
    let exported = away.path().join("zip").join(&talk.call_id).join("recording.wav");
    assert_eq!(std::fs::read(&exported).unwrap(), played.body);
    let (code, said) = verify(&exported).await;
    assert_eq!(code, Some(0), "{said}");

    // Another key instead: nobody hears it any more, and everything else goes on.
    std::fs::write(&key, tandem(&["key", "generate"]).await.stdout).unwrap();
    world.kill_and_restart().await;
    let refused = world.gateway.request("GET", &path, None).await.problem(409, "recording_failed");
    assert!(refused["detail"].as_str().unwrap().contains("former_encryption_key_files"), "{refused}");
    assert_eq!(world.get(&format!("{path}/details")).await["format"], json!("wav"));
}

#[tokio::test]
async fn a_missing_or_broken_key_is_a_start_up_error_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let toml = dir.path().join("tandem.toml");
    let key = dir.path().join("sealing.key");
    let config = format!("[data]\ndir = {:?}\n[recording]\nencryption_key_file = {key:?}\n", dir.path().join("data"));
    std::fs::write(&toml, config).unwrap();
    for (contents, says) in [(None, "cannot read the key"), (Some("beef"), "holds no key")] {
        if let Some(contents) = contents {
            std::fs::write(&key, contents).unwrap();
        }
        for command in ["check", "serve"] {
            let done = tandem(&[command, "--config", toml.to_str().unwrap()]).await;
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(1), "{command}: {said}");
            assert!(said.contains("recording.encryption_key_file") && said.contains(says), "{command}: {said}");
        }
    }
}

/// The program, run to its end.
async fn tandem(arguments: &[&str]) -> Output {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
    let ports = [("TANDEM_HTTP__LISTEN", "127.0.0.1:0"), ("TANDEM_HTTP__METRICS_LISTEN", "127.0.0.1:0")];
    let done = program.args(arguments).envs(ports).kill_on_drop(true).output();
    tokio::time::timeout(SOON, done).await.expect("it ends").unwrap()
}

/// No file beneath a folder begins or goes on as sound.
fn no_sound_in(folder: &Path) {
    for file in files(folder) {
        let bytes = std::fs::read(&file).unwrap();
        for magic in [&b"RIFF"[..], b"WAVEfmt", b"OggS", b"OpusHead"] {
            assert!(!bytes.windows(magic.len()).any(|some| some == magic), "{} holds {magic:?}", file.display());
        }
    }
}

/// Copies the one recording with all that lies beside it.
fn take_along(folder: &Path, to: &Path) -> PathBuf {
    for file in files(folder) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
    files(to).into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wav")).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
