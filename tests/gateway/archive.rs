//! Files on their way into an S3 store and back, and what stands in the way.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use tandem::archive::{Archive, ArchiveError, Config, PART_BYTES, Place};
use tandem::model::id::RecordingId;
use tandem::model::recording::{Progress, StoredFile};

use crate::s3::{Fate, KEY_ID, S3};

const STORE: &str = "s3://voices/calls";
const DAY: &str = "2026-11-22";
/// Three parts, the last one short.
const LONG: usize = 2 * PART_BYTES as usize + 4_321;

/// A local folder with one recording.
struct Local {
    dir: tempfile::TempDir,
    place: Place,
}

impl Local {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(DAY);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let place = Place::of(dir.path(), &folder.join("rec_1.wav"), &RecordingId::parse("rec_1").unwrap()).unwrap();
        Self { dir, place }
    }

    fn path(&self) -> PathBuf {
        self.place.path()
    }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn config(s3: &S3) -> Config {
    Config {
        endpoint: s3.endpoint.clone(),
        access_key_id: KEY_ID.to_owned(),
        allow_http: true,
        timeout_s: 20,
        ..Config::default()
    }
}

fn open(s3: &S3) -> Archive {
    Archive::open(STORE, &config(s3), Some(s3.secret())).unwrap().unwrap()
}

/// Sends one file to the end; gives back what the store has then.
async fn send(
    archive: &Archive,
    local: &Local,
    name: &str,
    from: Option<Progress>,
) -> Result<StoredFile, ArchiveError> {
    let key = archive.key(&local.place, name);
    let mut upload = archive.upload(&local.place.path_of(name), key.clone(), from).await?;
    while upload.advance().await? {}
    let Progress { bytes, sha256, .. } = upload.progress().clone();
    Ok(StoredFile { name: name.to_owned(), key, bytes, sha256 })
}

#[tokio::test]
async fn files_go_up_in_parts_are_read_back_and_come_back_as_they_were() {
    let s3 = S3::start().await;
    let (archive, long) = (open(&s3), noise(LONG));
    let local = Local::with(&[("rec_1.wav", &long), ("rec_1.json", b"{}"), ("rec_1.part2.wav", b"")]);
    for (name, want, parts) in [("rec_1.wav", &*long, 3), ("rec_1.json", b"{}", 0), ("rec_1.part2.wav", b"", 0)] {
        let key = format!("calls/{DAY}/{name}");
        let stored = send(&archive, &local, name, None).await.unwrap();
        assert_eq!((&stored.key, stored.bytes), (&key, want.len() as u64));
        assert_eq!(std::fs::read(s3.object(&key)).unwrap(), want, "{name}");
        assert_eq!(s3.seen(&["PUT", name, "partNumber="]), parts, "{name}");
        std::fs::remove_file(local.place.path_of(name)).unwrap();
        archive.fetch(&stored, &local.place).await.unwrap();
        let back = local.place.path_of(name);
        assert_eq!(std::fs::read(&back).unwrap(), want, "{name}");
        assert_eq!(back.metadata().unwrap().permissions().mode() & 0o777, 0o640, "{name}");
        archive.delete(&stored.key).await.unwrap();
        archive.delete(&stored.key).await.expect("gone already is fine");
    }
    assert_eq!(s3.objects(), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_that_was_killed_goes_on_with_the_part_that_was_under_way() {
    let s3 = S3::start().await;
    let (archive, long) = (open(&s3), noise(LONG));
    let local = Local::with(&[("rec_1.wav", &long)]);
    s3.gate(|line| if line.contains("partNumber=2") { Fate::Silent } else { Fate::Served });
    let key = archive.key(&local.place, "rec_1.wav");
    let mut upload = archive.upload(&local.path(), key, None).await.unwrap();
    assert!(upload.advance().await.unwrap() && upload.advance().await.unwrap());
    let kept = upload.progress().clone();
    assert_eq!((kept.upload_id.is_some(), kept.parts.len()), (true, 1));
    let killed = tokio::time::timeout(Duration::from_millis(300), upload.advance()).await;
    assert!(killed.is_err() && s3.seen(&["partNumber=2"]) > 0, "in the middle of the second part");
    drop(upload);

    s3.gate(|_| Fate::Served);
    send(&open(&s3), &local, "rec_1.wav", Some(kept.clone())).await.unwrap();
    assert_eq!(std::fs::read(s3.object(&format!("calls/{DAY}/rec_1.wav"))).unwrap(), long);
    assert_eq!(
        (s3.seen(&["partNumber=1"]), s3.seen(&["POST", "uploads"])),
        (1, 1),
        "what was there was not sent again"
    );

    // It was there, and whoever sent it did not live to say so.
    let before = s3.seen(&["PUT"]);
    send(&open(&s3), &local, "rec_1.wav", Some(kept.clone())).await.unwrap();
    assert_eq!(s3.seen(&["PUT"]), before, "read back, and found to be there");

    // Another file since then: its parts are of no use.
    std::fs::write(local.path(), noise(LONG + 1)).unwrap();
    send(&open(&s3), &local, "rec_1.wav", Some(kept)).await.unwrap();
    assert_eq!(std::fs::read(s3.object(&format!("calls/{DAY}/rec_1.wav"))).unwrap(), noise(LONG + 1));
}

#[tokio::test]
async fn whatever_is_wrong_with_the_store_is_said_in_a_sentence() {
    let s3 = S3::start().await;
    let local = Local::with(&[("rec_1.wav", b"sound")]);
    let check = async |store: &str, config: &Config, secret: &SecretString, sentence: &str| {
        let archive = Archive::open(store, config, Some(secret.clone())).unwrap().unwrap();
        let error = send(&archive, &local, "rec_1.wav", None).await.unwrap_err();
        assert!(error.told().starts_with(sentence), "{} instead of {sentence}", error.told());
        assert!(!error.told().contains("s3cret"), "{}", error.told());
    };
    let (fine, secret) = (config(&s3), s3.secret());
    check(STORE, &fine, &"wrong".to_owned().into(), "the store refuses these credentials").await;
    let stranger = Config { access_key_id: "somebody".to_owned(), ..config(&s3) };
    check(STORE, &stranger, &secret, "the store refuses these credentials").await;
    // This server makes a bucket for whoever puts something into it.
    let nowhere = Archive::open("s3://voice/calls", &fine, Some(s3.secret())).unwrap().unwrap();
    let error = nowhere.delete("calls/rec_1.wav").await.unwrap_err();
    assert!(matches!(error, ArchiveError::NoBucket(_)) && error.told().contains("correct recording.store"), "{error}");
    let away = Config { endpoint: "http://127.0.0.1:1".to_owned(), ..config(&s3) };
    check(STORE, &away, &secret, "the store does not answer as it should").await;
    s3.gate(|_| Fate::Broken);
    check(STORE, &fine, &secret, "the store does not answer as it should").await;
    s3.gate(|_| Fate::Silent);
    let hasty = Config { timeout_s: 1, ..config(&s3) };
    check(STORE, &hasty, &secret, "the store does not answer as it should").await;
    assert_eq!(s3.objects(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_altered_in_the_store_is_neither_taken_for_stored_nor_brought_back() {
    let s3 = S3::start().await;
    let (archive, local) = (open(&s3), Local::with(&[("rec_1.wav", &noise(LONG))]));
    let object = s3.object(&format!("calls/{DAY}/rec_1.wav"));
    let flip = |object: &Path| {
        let mut bytes = std::fs::read(object).unwrap();
        bytes[LONG / 2] ^= 1;
        std::fs::write(object, bytes).unwrap();
    };
    // Between the last part and the proof.
    let (path, once) = (object.clone(), std::sync::Once::new());
    s3.gate(move |line| {
        if line.starts_with("GET") {
            once.call_once(|| flip(&path));
        }
        Fate::Served
    });
    let key = archive.key(&local.place, "rec_1.wav");
    let mut upload = archive.upload(&local.path(), key, None).await.unwrap();
    let error = loop {
        match upload.advance().await {
            Ok(more) => assert!(more, "it was taken for stored"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ArchiveError::Altered { .. }), "{error}");
    assert_eq!(upload.progress().upload_id, None, "from the beginning");
    let progress = upload.progress().clone();
    let stored = send(&archive, &local, "rec_1.wav", Some(progress)).await.unwrap();

    flip(&object);
    std::fs::remove_file(local.path()).unwrap();
    let error = archive.fetch(&stored, &local.place).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Altered { .. }), "{error}");
    std::fs::write(&object, &noise(LONG)[..LONG - 1]).unwrap();
    assert!(archive.fetch(&stored, &local.place).await.is_err(), "too short");
    assert_eq!(walk(local.dir.path()), 0, "nothing of it stays here");
    // A name that leads elsewhere.
    let elsewhere = StoredFile { name: "../rec_1.wav".to_owned(), ..stored };
    assert!(matches!(archive.fetch(&elsewhere, &local.place).await, Err(ArchiveError::Altered { .. })));
}

#[tokio::test]
async fn a_disk_without_room_for_running_calls_takes_nothing_back() {
    let s3 = S3::start().await;
    let local = Local::with(&[("rec_1.wav", b"sound")]);
    let stored = send(&open(&s3), &local, "rec_1.wav", None).await.unwrap();
    std::fs::remove_file(local.path()).unwrap();
    let full = Config { keep_free_mb: u64::MAX / 1_000_000, ..config(&s3) };
    let archive = Archive::open(STORE, &full, Some(s3.secret())).unwrap().unwrap();
    let error = archive.fetch(&stored, &local.place).await.unwrap_err();
    assert!(matches!(error, ArchiveError::NoRoom { .. }) && error.told().contains("free some space"), "{error}");
    assert_eq!((walk(local.dir.path()), s3.seen(&["GET"])), (0, 1), "only the proof was read");
}

#[tokio::test]
async fn a_mounted_folder_is_a_store_too() {
    let share = tempfile::tempdir().unwrap();
    let url = format!("file://{}", share.path().display());
    let archive = Archive::open(&url, &Config::default(), None).unwrap().unwrap();
    let long = noise(LONG);
    let local = Local::with(&[("rec_1.wav", &long)]);
    let stored = send(&archive, &local, "rec_1.wav", None).await.unwrap();
    assert_eq!(std::fs::read(share.path().join(DAY).join("rec_1.wav")).unwrap(), long);
    std::fs::remove_file(local.path()).unwrap();
    archive.fetch(&stored, &local.place).await.unwrap();
    assert_eq!(std::fs::read(local.path()).unwrap(), long);
    archive.delete(&stored.key).await.unwrap();
    assert!(matches!(archive.fetch(&stored, &local.place).await, Err(ArchiveError::Missing { .. })));
}

/// Files beneath a folder.
fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}
