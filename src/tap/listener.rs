//! Those who take what the tap hears, each behind a wall: a panic of one costs it that call, and nobody else anything.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::audio::Output;
use crate::model::rtp::TapKey;

/// Somebody who hears taps beside the recorder. Called on the worker's thread, must not wait.
pub struct Listener {
    wall: Wall,
    take: Box<dyn FnMut(&Output) + Send>,
    let_go: Option<Box<dyn FnMut(TapKey) + Send>>,
}

/// What is kept from a consumer that panicked, and what from the others.
#[derive(Debug)]
pub(super) struct Wall {
    name: &'static str,
    /// Running taps that the consumer hears no more of but the end.
    gone: BTreeSet<TapKey>,
    pub(super) panics: u64,
}

impl Listener {
    pub fn new(name: &'static str, take: impl FnMut(&Output) + Send + 'static) -> Self {
        Self { wall: Wall::new(name), take: Box::new(take), let_go: None }
    }

    /// It can make up from the recording for what it does not hear, so it is let go of a tap that cannot keep up: it is told
    /// by `let_go`, and hears nothing more of that tap but its end.
    #[must_use]
    pub fn makes_up(self, let_go: impl FnMut(TapKey) + Send + 'static) -> Self {
        Self { let_go: Some(Box::new(let_go)), ..self }
    }

    pub(super) fn hear(&mut self, heard: &Output) {
        let take = &mut self.take;
        self.wall.pass(heard.tap(), matches!(heard, Output::Closed(_)), || take(heard));
    }

    /// False: it wants to hear the tap all the same.
    pub(super) fn let_go(&mut self, tap: TapKey) -> bool {
        let Some(let_go) = &mut self.let_go else { return false };
        self.wall.pass(tap, false, || let_go(tap));
        self.wall.gone.insert(tap);
        true
    }

    pub(super) const fn panics(&self) -> u64 {
        self.wall.panics
    }
}

impl Wall {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, gone: BTreeSet::new(), panics: 0 }
    }

    /// What the consumer says; `None` when it panicked over this tap, now or before. The end it is told all the same, so that
    /// nothing of its own stays open.
    pub(super) fn pass<R>(&mut self, tap: TapKey, is_end: bool, act: impl FnOnce() -> R) -> Option<R> {
        if !is_end && self.gone.contains(&tap) {
            return None;
        }
        let said = catch_unwind(AssertUnwindSafe(act)).ok();
        if said.is_none() {
            self.panics += 1;
            self.gone.insert(tap);
            tracing::error!(tap = tap.0, consumer = self.name, "a panic; it hears no more of this call");
        }
        if is_end {
            self.gone.remove(&tap);
        }
        said
    }
}
