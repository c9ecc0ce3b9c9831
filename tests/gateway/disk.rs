//! Disks that fill up: recordings stop, calls do not.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::agent::{Agent, AgentCall};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::InboundCall;

use crate::world::{NINO, SOON, World};

const MB: u64 = 1_000_000;

#[tokio::test]
async fn a_full_disk_stops_the_recording_and_not_the_call() {
    let disk = SmallDisk::mount("64k");
    // Nothing is kept back, so that the system itself refuses.
    let world = World::with("[recording]\nreserve_mb = 0\n", Default::default()).await;
    // Recordings go to a disk with room for about a second.
    let recordings = world.dir.path().join("data/recordings");
    let _ = std::fs::remove_dir_all(&recordings);
    std::os::unix::fs::symlink(&disk.path, &recordings).unwrap();
    let agent = world.agent("agt_a").await;
    let phone =
        world.wa.call(InboundCall::from(NINO).says(Sound::sweep(400.0, 2000.0, Duration::from_secs(6)))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    agent.event("recording.failed", SOON, |_| true).await.expect("the alarm");
    let heard = talk.heard().packets().len();
    world.until("the call goes on", async || talk.heard().packets().len() > heard + 25).await;
    assert_eq!(world.call(&talk.call_id).await["state"], "active");
    talk.hang_up().await.unwrap();
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["status"], &call["recording"]["state"]), (&json!("Completed"), &json!("failed")));
    assert!(world.gateway.metric("tandem_recording_write_errors_total").await >= 1.0);
}

#[tokio::test]
async fn a_disk_shared_with_the_database_keeps_its_reserve_and_the_next_call_is_recorded_when_there_is_room() {
    let mut world = World::with("[recording]\nreserve_mb = 16\n", Default::default()).await;
    world.gateway.kill().await;
    // The database, the keys and the recordings on one small disk.
    let (data, disk) = (world.dir.path().join("data"), SmallDisk::mount("64m"));
    let copied = Command::new("cp").arg("-a").arg(data.join(".")).arg(&disk.path).status().unwrap();
    assert!(copied.success());
    std::fs::remove_dir_all(&data).unwrap();
    std::os::unix::fs::symlink(&disk.path, &data).unwrap();
    world.restart().await;
    let agent = world.agent("agt_a").await;

    let talk = talk(&world, &agent).await;
    world.until("it is recorded", async || world.call(&talk.call_id).await["recording"]["state"] == "recording").await;
    let ballast = disk.path.join("ballast");
    std::fs::write(&ballast, vec![1; usize::try_from(disk.free() - 8 * MB).unwrap()]).unwrap();
    let failed = agent.event("recording.failed", SOON, |_| true).await.expect("the alarm");
    assert!(failed.data()["error"].as_str().unwrap().contains("recording.reserve_mb"), "{:?}", failed.data());
    let heard = talk.heard().packets().len();
    world.until("the call goes on", async || talk.heard().packets().len() > heard + 25).await;
    assert_eq!(state_after(&world, talk).await, json!("failed"));
    let free = disk.free();
    assert!(free > 6 * MB, "what is left is the database's: {free}");
    let unready = world.gateway.readiness().await;
    assert_eq!((&unready["status"], &unready["reasons"][0]["check"]), (&json!("unready"), &json!("disk")), "{unready}");

    // A call that comes now is taken, and not recorded.
    let talk = self::talk(&world, &agent).await;
    let of_this = |event: &Value| event["data"]["call_id"] == talk.call_id.as_str();
    agent.event("recording.failed", SOON, of_this).await.expect("the alarm");
    assert_eq!(state_after(&world, talk).await, json!("failed"));

    std::fs::remove_file(&ballast).unwrap();
    world.until("there is room", async || world.gateway.readiness().await["status"] == "ready").await;
    let talk = self::talk(&world, &agent).await;
    world.until("they talk", async || talk.heard().packets().len() > 50).await;
    assert_eq!(state_after(&world, talk).await, json!("ready"));
    assert!(world.gateway.metric("tandem_disk_free_bytes").await > 16e6);
}

/// A customer who goes on speaking, and the agent who took the call.
async fn talk(world: &World, agent: &Agent) -> AgentCall {
    let call = InboundCall::from(NINO).says(Sound::sweep(400.0, 2000.0, Duration::from_secs(20)));
    let phone = world.wa.call(call).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk
}

/// Hangs up an answered call; how its recording ended.
async fn state_after(world: &World, talk: AgentCall) -> Value {
    world.until("they talk", async || world.call(&talk.call_id).await["state"] == "active").await;
    talk.hang_up().await.unwrap();
    let mut call = world.settled(&talk.call_id).await;
    assert_eq!(call["status"], "Completed");
    call["recording"]["state"].take()
}

/// A file system of its own, for which one must be root, as CI is.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-disk-{}-{size}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "a small file system cannot be mounted: this test needs root"
        );
        Self { path }
    }

    fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.path).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.path).status();
        let _ = std::fs::remove_dir(&self.path);
    }
}
