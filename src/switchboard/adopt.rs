//! What nobody has chosen here is WhatsApp's to say: it is taken over from there. Pure.

use std::collections::BTreeSet;

use crate::model::settings::{NumberSettings, Setting};
use crate::policy::hours::normalise;
use crate::policy::pack::HoursRules;
use crate::signalling::whatsapp::settings::{hours_of, unavailable_of};
use crate::signalling::whatsapp::{Icons, MetaCalling};

/// WhatsApp keeps its own limits; what it has is in force there, whatever a policy pack would let people write here.
const ANY_NUMBER: HoursRules = HoursRules { spans_per_day_max: usize::MAX, unavailable_max: usize::MAX };

/// Settings after WhatsApp's were taken over.
#[derive(Debug, PartialEq)]
pub(super) struct Adopted {
    pub(super) settings: NumberSettings,
    /// What of those left open WhatsApp did not tell, or has in a way that ours cannot say. They keep their value here, and
    /// must be left as they are there.
    pub(super) untold: BTreeSet<Setting>,
}

/// `wished`, with what WhatsApp has in place of everything left open.
pub(super) fn adopt(wished: &NumberSettings, left_open: &BTreeSet<Setting>, theirs: &MetaCalling) -> Adopted {
    let (mut settings, mut untold) = (wished.clone(), BTreeSet::new());
    for setting in left_open {
        if take(*setting, theirs, &mut settings).is_none() {
            untold.insert(*setting);
        }
    }
    Adopted { settings, untold }
}

/// `None` for what was not told.
fn take(setting: Setting, theirs: &MetaCalling, ours: &mut NumberSettings) -> Option<()> {
    match setting {
        Setting::AllowVoiceCalls => ours.allow_voice_calls = theirs.status?,
        Setting::DisplayCallButtons => {
            ours.display_call_buttons = match theirs.call_icon_visibility? {
                Icons::Default => true,
                Icons::DisableAll => false,
                Icons::HideInChat => return None,
            }
        }
        Setting::CallbackPermission => ours.callback_permission = theirs.callback_permission_status?,
        Setting::CallHours => ours.call_hours = usable_hours(theirs)?.call_hours,
        Setting::Unavailable => ours.unavailable = usable_hours(theirs)?.unavailable,
    }
    Some(())
}

/// Whether WhatsApp has hours that cannot be used here: a time zone or a day that nobody can read would turn customers
/// away that WhatsApp lets through.
pub(super) fn has_unusable_hours(theirs: &MetaCalling) -> bool {
    theirs.call_hours.is_some() && usable_hours(theirs).is_none()
}

/// Only hours and closed dates of what comes back are WhatsApp's.
fn usable_hours(theirs: &MetaCalling) -> Option<NumberSettings> {
    // Meta leaves the list of closed dates out when there are none.
    let (hours, dates) = (hours_of(theirs)?, unavailable_of(theirs).unwrap_or_default());
    let (call_hours, unavailable) = normalise(hours, dates, &ANY_NUMBER).ok()?;
    Some(NumberSettings { call_hours, unavailable, ..NumberSettings::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::{CallHours, Unavailable, Weekday};
    use crate::signalling::whatsapp::settings::{drift, to_meta, without};
    use crate::signalling::whatsapp::{MetaHoliday, MetaHours, MetaSpan};

    fn span(day: Weekday, open: &str, close: &str) -> MetaSpan {
        MetaSpan { day, open: open.to_owned(), close: close.to_owned() }
    }

    fn hours(zone: Option<&str>, weekly: Vec<MetaSpan>, holidays: Option<&[&str]>) -> MetaHours {
        let holiday =
            |date: &&str| MetaHoliday { date: (*date).to_owned(), from: "0000".to_owned(), to: "2359".to_owned() };
        let holidays = holidays.map(|dates| dates.iter().map(holiday).collect());
        MetaHours::Enabled { time_zone: zone.map(str::to_owned), weekly, holidays }
    }

    fn every_day() -> Vec<MetaSpan> {
        Weekday::ALL.iter().map(|day| span(*day, "0000", "2359")).collect()
    }

    fn closed(date: &str) -> Unavailable {
        Unavailable { date: date.to_owned(), from: "00:00".to_owned(), to: "24:00".to_owned() }
    }

    fn monday() -> CallHours {
        let span = ("09:00".to_owned(), "18:00".to_owned());
        CallHours { time_zone: "Asia/Tbilisi".to_owned(), weekly: [(Weekday::Monday, vec![span])].into() }
    }

    /// As set up in WhatsApp's manager, everything other than here by default.
    fn theirs() -> MetaCalling {
        MetaCalling {
            status: Some(false),
            call_icon_visibility: Some(Icons::DisableAll),
            callback_permission_status: Some(false),
            call_hours: Some(hours(
                Some("Asia/Tbilisi"),
                vec![span(Weekday::Monday, "0900", "1800")],
                Some(&["2099-01-07"]),
            )),
            restrictions: None,
        }
    }

    fn as_theirs() -> NumberSettings {
        NumberSettings {
            allow_voice_calls: false,
            display_call_buttons: false,
            callback_permission: false,
            call_hours: Some(monday()),
            unavailable: vec![closed("2099-01-07")],
        }
    }

    #[test]
    fn what_was_left_open_is_taken_over_and_nothing_else() {
        let ours = NumberSettings::default();
        let all = adopt(&ours, &Setting::all(), &theirs());
        assert_eq!(all, Adopted { settings: as_theirs(), untold: BTreeSet::new() });
        assert_eq!(adopt(&ours, &BTreeSet::new(), &theirs()).settings, ours);
        for one in Setting::ALL {
            let changed = drift(&ours, &to_meta(&adopt(&ours, &[*one].into(), &theirs()).settings, &[]), "2026-11-18");
            let fields: Vec<_> = changed.iter().map(|drift| drift.field).collect();
            // Closed dates are written beside.
            let want = if *one == Setting::Unavailable { vec![] } else { vec![one.as_str()] };
            assert_eq!(fields, want);
        }
    }

    #[test]
    fn what_whatsapp_does_not_tell_is_known_to_be_unknown_and_not_written() {
        #[track_caller]
        fn check(change: impl FnOnce(&mut MetaCalling), want: &[Setting]) {
            let mut theirs = theirs();
            change(&mut theirs);
            let Adopted { settings, untold } = adopt(&NumberSettings::default(), &Setting::all(), &theirs);
            assert_eq!(untold.iter().copied().collect::<Vec<_>>(), want);
            let told = without(to_meta(&settings, &settings.unavailable), &untold);
            assert_eq!(told.status.is_none(), want.contains(&Setting::AllowVoiceCalls));
            assert_eq!(told.call_icon_visibility.is_none(), want.contains(&Setting::DisplayCallButtons));
            assert_eq!(told.callback_permission_status.is_none(), want.contains(&Setting::CallbackPermission));
            assert_eq!(told.call_hours.is_none(), want.contains(&Setting::CallHours));
        }
        let both = [Setting::CallHours, Setting::Unavailable];
        check(|_| (), &[]);
        check(|theirs| theirs.status = None, &[Setting::AllowVoiceCalls]);
        check(|theirs| theirs.call_icon_visibility = None, &[Setting::DisplayCallButtons]);
        check(|theirs| theirs.call_icon_visibility = Some(Icons::HideInChat), &[Setting::DisplayCallButtons]);
        check(|theirs| theirs.callback_permission_status = None, &[Setting::CallbackPermission]);
        check(|theirs| theirs.call_hours = None, &both);
        check(|theirs| *theirs = MetaCalling::default(), Setting::ALL);
        for unusable in [
            hours(Some("Moon/Crater"), every_day(), None),
            hours(None, every_day(), None),
            hours(Some("UTC"), Vec::new(), None),
            hours(
                Some("UTC"),
                vec![span(Weekday::Monday, "0900", "1200"), span(Weekday::Monday, "1100", "1300")],
                None,
            ),
        ] {
            let has = MetaCalling { call_hours: Some(unusable.clone()), ..MetaCalling::default() };
            assert!(has_unusable_hours(&has), "{unusable:?}");
            check(|theirs| theirs.call_hours = Some(unusable), &both);
        }
        assert!(!has_unusable_hours(&theirs()) && !has_unusable_hours(&MetaCalling::default()));
    }

    #[test]
    fn hours_or_dates_that_are_said_say_both() {
        for half in [Setting::CallHours, Setting::Unavailable] {
            assert!(without(to_meta(&as_theirs(), &[]), &[half].into()).call_hours.is_some());
        }
    }

    #[test]
    fn closed_dates_keep_the_time_zone_they_are_meant_in() {
        #[track_caller]
        fn check(zone: &str, want: Option<&str>) {
            let always = hours(Some(zone), every_day(), Some(&["2099-01-07"]));
            let has = MetaCalling { call_hours: Some(always), ..MetaCalling::default() };
            let Adopted { settings, .. } = adopt(&NumberSettings::default(), &Setting::all(), &has);
            assert_eq!(settings.call_hours.as_ref().map(|hours| hours.time_zone.as_str()), want);
            assert_eq!(settings.unavailable, [closed("2099-01-07")]);
            let told = to_meta(&settings, &settings.unavailable);
            assert_eq!(told.call_hours, has.call_hours, "it goes back as it came");
            assert_eq!(drift(&settings, &has, "2026-11-18"), []);
        }
        check("UTC", None);
        check("Asia/Tbilisi", Some("Asia/Tbilisi"));
        check("America/New_York", Some("America/New_York"));
    }

    #[test]
    fn hours_disabled_at_whatsapp_are_open_at_all_times() {
        let has = MetaCalling { call_hours: Some(MetaHours::Disabled), ..theirs() };
        let Adopted { settings, untold } = adopt(&as_theirs(), &Setting::all(), &has);
        assert_eq!((settings.call_hours, settings.unavailable, untold), (None, Vec::new(), BTreeSet::new()));
    }
}
