//! The terms calls are made on: the policy pack and the rate card in force, and the packs that were in force before.

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::{Any, Transaction};

use super::Store;
use super::error::Result;
use super::sql::Columns;
use crate::billing::RateCard;
use crate::model::time::Timestamp;
use crate::policy::pack::{BUILT_IN, Pack, Rules};

/// Policy and prices, read and checked; replaced as a whole when either is loaded anew.
#[derive(Clone, Debug)]
pub struct Terms {
    pub pack: Pack,
    /// Names the pack in call records: its own name and the start of its hash, `whatsapp-1a2b3c4d5e6f`.
    pub pack_id: String,
    /// The pack as it was written.
    pub pack_text: String,
    pub card: RateCard,
}

/// A pack that is or was in force.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct KeptPack {
    pub id: String,
    pub first_used_at: Timestamp,
}

impl Terms {
    pub fn new(pack: Pack, pack_text: String, card: RateCard) -> Self {
        let sha256 = hex::encode(digest(&SHA256, pack_text.as_bytes()));
        let pack_id = format!("{}-{}", pack.name, &sha256[..12]);
        Self { pack, pack_id, pack_text, card }
    }

    /// The pack and the card that are built in.
    pub fn built_in() -> Self {
        Self::new(Pack::built_in(), BUILT_IN.to_owned(), RateCard::built_in())
    }

    pub fn rules(&self, at: Timestamp) -> &Rules {
        self.pack.rules(at)
    }
}

impl Store {
    /// Keeps a pack that is coming into force, so that what it decides stays explained once it is replaced.
    pub async fn keep_pack(&self, terms: &Terms, now: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO policy_packs (id, toml, first_used_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&terms.pack_id)
        .bind(&terms.pack_text)
        .bind(now.as_millis())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Every pack that was ever in force, the newest first.
    pub async fn packs(&self) -> Result<Vec<KeptPack>> {
        let rows = sqlx::query("SELECT id, first_used_at FROM policy_packs ORDER BY first_used_at DESC, id")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok(KeptPack { id: row.text("id")?, first_used_at: row.time("first_used_at")? })).collect()
    }

    /// A pack as it was written.
    pub async fn pack_text(&self, id: &str) -> Result<Option<String>> {
        let row =
            sqlx::query("SELECT toml FROM policy_packs WHERE id = $1").bind(id).fetch_optional(&self.reader).await?;
        row.map(|row| row.text("toml")).transpose()
    }
}

/// A pack that was in force before. `None` for one that was never kept, or that this version can no longer read.
pub(super) async fn kept_pack(tx: &mut Transaction<'static, Any>, id: &str) -> Result<Option<Pack>> {
    let row = sqlx::query("SELECT toml FROM policy_packs WHERE id = $1").bind(id).fetch_optional(&mut **tx).await?;
    let Some(text) = row.map(|row| row.text("toml")).transpose()? else { return Ok(None) };
    Ok(Pack::parse(id, &text)
        .inspect_err(|error| tracing::warn!(pack = id, %error, "a pack of old can no longer be read; today's is used"))
        .ok())
}
