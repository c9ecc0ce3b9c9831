//! CPU time and memory of a process, from `/proc`.

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

/// Linux counts process time in hundredths of a second for every program (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process used between two looks.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessFigures {
    /// Cores busy on average: 1.0 is one core.
    pub cores: f64,
    /// Resident memory at the first look, in bytes.
    pub rss_before_bytes: u64,
    /// Largest resident memory seen, in bytes.
    pub rss_max_bytes: u64,
}

/// Watches one process.
pub struct ProcessWatch {
    pid: u32,
    started: Instant,
    ticks: u64,
    rss_before: u64,
    rss_max: u64,
}

impl ProcessWatch {
    /// Starts to watch. `rss_before_bytes` is the memory before any call, if it was looked at earlier.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn start(pid: u32, rss_before_bytes: Option<u64>) -> Result<Self> {
        let rss = rss_bytes(pid)?;
        Ok(Self {
            pid,
            started: Instant::now(),
            ticks: cpu_ticks(pid)?,
            rss_before: rss_before_bytes.unwrap_or(rss),
            rss_max: rss,
        })
    }

    /// Looks at the memory.
    pub fn look(&mut self) {
        if let Ok(rss) = rss_bytes(self.pid) {
            self.rss_max = self.rss_max.max(rss);
        }
    }

    /// The figures since the start; `None` when the process is gone.
    pub fn finish(mut self) -> Option<ProcessFigures> {
        self.look();
        let used = (cpu_ticks(self.pid).ok()?.saturating_sub(self.ticks)) as f64 / TICKS_PER_SECOND;
        let cores = used / self.started.elapsed().as_secs_f64().max(0.001);
        Some(ProcessFigures { cores, rss_before_bytes: self.rss_before, rss_max_bytes: self.rss_max })
    }
}

/// Resident memory of a process.
///
/// # Errors
/// When there is no such process.
pub(super) fn rss_bytes(pid: u32) -> Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("there is no process {pid}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the process has no memory")?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS is no number")?;
    Ok(kibibytes * 1_024)
}

fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("there is no process {pid}"))?;
    // The second field is the name in parentheses and may hold spaces; utime and stime are the 14th and 15th.
    let rest = stat.rsplit_once(')').context("stat has no name")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok()).context("stat is too short");
    Ok(field(11)? + field(12)?)
}
