//! Work on ended calls that goes on beside the rest, a few calls at a time. The books say that it is due until it is done.

use std::collections::HashSet;
use std::future::Future;

use tokio::task::JoinSet;

use crate::model::id::CallId;

pub(super) struct UnderWay {
    tasks: JoinSet<CallId>,
    calls: HashSet<CallId>,
    at_a_time: usize,
}

impl UnderWay {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self { tasks: JoinSet::new(), calls: HashSet::new(), at_a_time }
    }

    pub(super) fn is_full(&self) -> bool {
        self.tasks.len() >= self.at_a_time
    }

    pub(super) fn has(&self, call: &CallId) -> bool {
        self.calls.contains(call)
    }

    /// Begins, unless the call is being worked on or there is no room: then it stays due.
    pub(super) fn start(&mut self, call: &CallId, work: impl Future<Output = ()> + Send + 'static) {
        if self.is_full() || !self.calls.insert(call.clone()) {
            return;
        }
        let call = call.clone();
        self.tasks.spawn(async move {
            work.await;
            call
        });
    }

    /// Waits until one is done; for ever while there is none.
    pub(super) async fn next(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(call)) => drop(self.calls.remove(&call)),
            Some(Err(_)) => {
                // It broke, and which it was is not known; none may stay barred. Nor is it tried again at once.
                self.calls.clear();
                std::future::pending().await
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_worked_on_once_at_a_time_and_again_after_that() {
        let mut under_way = UnderWay::new(2);
        let [a, b, c] = [(); 3].map(|()| CallId::generate());
        for call in [&a, &a, &b, &c] {
            under_way.start(call, async {});
        }
        assert!(under_way.is_full() && under_way.has(&a) && under_way.has(&b) && !under_way.has(&c));
        under_way.next().await;
        under_way.next().await;
        assert!(!under_way.is_full() && !under_way.has(&a));
        under_way.start(&a, async { panic!("it breaks") });
        let soon = tokio::time::timeout(std::time::Duration::from_millis(50), under_way.next()).await;
        assert!(soon.is_err() && !under_way.has(&a), "it is tried again, but not at once");
    }
}
