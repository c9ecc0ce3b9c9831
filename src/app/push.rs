//! What rings agents whose consoles are closed, and what a machine may lack for it.

use std::sync::Arc;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::model::error::chain;
use crate::model::time::Clock;
use crate::store::Store;
use crate::webpush::Push;

/// What rings agents whose consoles are closed.
pub(super) fn open(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Push>> {
    if !config.push.enabled {
        return Ok(None);
    }
    let key = Store::vapid_key(&config.data.dir)?;
    match Push::new(&config.push, key, &config.http.public_url, Arc::clone(metrics), Clock) {
        Ok(push) => Ok(Some(push)),
        Err(error) => {
            // A machine without certificates of authorities has calls all the same.
            tracing::warn!(error = chain(error), "no pushes: push services' certificates cannot be checked here");
            Ok(None)
        }
    }
}
