//! Which transfers a settled call needs: one debit however often the end is reported, and a correction when WhatsApp's
//! last word on the duration differs from what was charged.

use std::cmp::Ordering;

use crate::model::money::Micros;
use crate::model::reason::EntryKind;
use crate::model::words;

words! {
    /// The accounts of the ledger. The wallet is the business's money; the others are where it comes from and goes to.
    Account { Wallet = "wallet", Funding = "funding", Calls = "calls" }
}

/// Money that moves: out of `debit`, into `credit`, more than 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub kind: EntryKind,
    pub debit: Account,
    pub credit: Account,
    pub micros: Micros,
}

impl Transfer {
    /// Money paid into the wallet.
    pub const fn top_up(micros: Micros) -> Self {
        Self { kind: EntryKind::TopUp, debit: Account::Funding, credit: Account::Wallet, micros }
    }

    /// Money that was booked wrongly: put into the wallet, or taken out where `micros` is negative. `None` for 0.
    pub fn correction(micros: Micros) -> Option<Self> {
        let (debit, credit) = match micros.cmp(&0) {
            Ordering::Greater => (Account::Funding, Account::Wallet),
            Ordering::Less => (Account::Wallet, Account::Funding),
            Ordering::Equal => return None,
        };
        Some(Self { kind: EntryKind::Adjustment, debit, credit, micros: micros.checked_abs()? })
    }

    /// What it does to the wallet: negative when money leaves it.
    pub const fn wallet_micros(&self) -> Micros {
        match (self.debit, self.credit) {
            (Account::Wallet, _) => -self.micros,
            (_, Account::Wallet) => self.micros,
            _ => 0,
        }
    }
}

/// What has to be posted so that a call has cost `price` in all; neither is negative. `posted`: what was charged so far,
/// `None` = nothing was ever posted for it.
pub fn settle(posted: Option<Micros>, price: Micros) -> Option<Transfer> {
    let kind = if posted.is_some() { EntryKind::Adjustment } else { EntryKind::CallCharge };
    let posted = posted.unwrap_or(0);
    let (debit, credit) = match price.cmp(&posted) {
        Ordering::Greater => (Account::Wallet, Account::Calls),
        Ordering::Less => (Account::Calls, Account::Wallet),
        Ordering::Equal => return None,
    };
    Some(Transfer { kind, debit, credit, micros: price.abs_diff(posted).try_into().unwrap_or(Micros::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_charged_once_and_then_only_corrected() {
        #[track_caller]
        fn check(posted: Option<Micros>, price: Micros, want: Option<(EntryKind, Micros)>) {
            let transfer = settle(posted, price);
            assert_eq!(transfer.as_ref().map(|t| (t.kind, t.wallet_micros())), want, "{posted:?} {price}");
            if let Some(transfer) = transfer {
                assert!(transfer.micros > 0 && transfer.debit != transfer.credit, "{transfer:?}");
                assert!([transfer.debit, transfer.credit].contains(&Account::Calls), "{transfer:?}");
            }
        }
        use EntryKind::{Adjustment, CallCharge};
        check(None, 0, None);
        check(None, 9500, Some((CallCharge, -9500)));
        check(Some(9500), 9500, None);
        check(Some(9500), 9501, Some((Adjustment, -1)));
        check(Some(9500), 1, Some((Adjustment, 9499)));
        check(Some(9500), 0, Some((Adjustment, 9500)));
        check(Some(0), 0, None);
        check(Some(0), 7, Some((Adjustment, -7)));
    }

    #[test]
    fn a_correction_goes_either_way_between_the_wallet_and_outside() {
        for micros in [5, -5] {
            let transfer = Transfer::correction(micros).unwrap();
            assert_eq!((transfer.kind, transfer.micros, transfer.wallet_micros()), (EntryKind::Adjustment, 5, micros));
            assert!(![transfer.debit, transfer.credit].contains(&Account::Calls), "{transfer:?}");
        }
        assert_eq!((Transfer::correction(0), Transfer::correction(Micros::MIN)), (None, None));
    }

    #[test]
    fn a_top_up_comes_from_outside_into_the_wallet() {
        let transfer = Transfer::top_up(5);
        assert_eq!((transfer.debit, transfer.credit, transfer.wallet_micros()), (Account::Funding, Account::Wallet, 5));
    }
}
