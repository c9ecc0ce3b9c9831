use super::pair::WEEK;
use super::*;

const NUMBER: &str = "1";
const NINO: &str = "995555010203";
const START: u64 = 1_795_000_000;

fn ledger() -> Ledger {
    Ledger::new(Rules::enforced())
}

fn ask(ledger: &Ledger, now: u64) -> Result<String, u32> {
    ledger.may_ask(NUMBER, NINO, now).map_err(|refusal| refusal.code)?;
    let wamid = format!("wamid.{now}");
    let request =
        PermissionRequest { number_id: NUMBER.into(), wamid: wamid.clone(), to: NINO.into(), body: Value::Null };
    ledger.note_request(request, now);
    Ok(wamid)
}

#[test]
fn requests_are_limited_by_day_and_week_until_a_call_connects() {
    let ledger = ledger();
    assert!(ask(&ledger, START).is_ok());
    assert_eq!(ask(&ledger, START + DAY - 1), Err(138_009));
    assert!(ask(&ledger, START + DAY).is_ok());
    assert_eq!(ask(&ledger, START + 3 * DAY), Err(138_009), "the third in a week");
    let refusal = ledger.may_ask(NUMBER, NINO, START + 3 * DAY).unwrap_err();
    assert!(refusal.details.ends_with(&(START + WEEK).to_string()), "{refusal:?}");
    assert!(ask(&ledger, START + WEEK).is_ok());
    for by_business in [false, true] {
        ledger.note_connected(NUMBER, NINO, by_business, START + WEEK + 1);
        assert!(ask(&ledger, START + WEEK + 2).is_ok(), "after a call, by business: {by_business}");
        assert_eq!(ask(&ledger, START + WEEK + 3), Err(138_009));
    }
    assert!(ledger.may_ask(NUMBER, "995555010204", START).is_ok(), "other customers have limits of their own");
}

#[test]
fn the_test_number_and_the_unenforced_fake_ask_more_often() {
    for (rules, allowed) in [(Rules::of_a_test_number(), 25), (Rules::default(), 40)] {
        let ledger = Ledger::new(rules);
        let granted = (0..40).take_while(|second| ask(&ledger, START + second).is_ok()).count();
        assert_eq!(granted, allowed);
    }
}

#[test]
fn a_temporary_permission_ends_by_itself() {
    let ledger = ledger();
    let (reply, context) =
        ledger.grant(NUMBER, NINO, &Grant::Temporary { expires_in: TEMPORARY }, None, START).unwrap();
    assert_eq!(
        (&reply["expiration_timestamp"], context),
        (&json!((START + WEEK).to_string()), None),
        "168 hours, no request"
    );
    assert_eq!(ledger.permission(NUMBER, NINO, START + WEEK - 1), Permission::Until(START + WEEK));
    assert_eq!(ledger.permission(NUMBER, NINO, START + WEEK), Permission::None);
}

#[test]
fn a_request_lives_a_week_from_delivery_or_answer_and_until_a_newer_one_is_answered() {
    let ledger = ledger();
    let yes = Grant::Temporary { expires_in: TEMPORARY };
    let first = ask(&ledger, START).unwrap();
    assert_eq!(ledger.decline(NUMBER, NINO, None, START + 6 * DAY).unwrap().1, Some(first.clone()));
    // Answered on the sixth day, the answer may be turned for a week more.
    let turned = ledger.grant(NUMBER, NINO, &yes, None, START + 12 * DAY).unwrap();
    assert_eq!(turned.1, Some(first.clone()));
    let second = ask(&ledger, START + 13 * DAY).unwrap();
    assert_eq!(ledger.grant(NUMBER, NINO, &yes, Some(&first), START + 14 * DAY).unwrap().1, Some(first.clone()));
    assert_eq!(ledger.decline(NUMBER, NINO, Some(&second), START + 15 * DAY).unwrap().1, Some(second));
    assert!(ledger.grant(NUMBER, NINO, &yes, Some(&first), START + 15 * DAY).is_err(), "a newer one was answered");
    assert!(ledger.grant(NUMBER, NINO, &yes, None, START + 22 * DAY).is_err(), "a week after the answer");
    assert!(ledger.grant(NUMBER, NINO, &Grant::FromProfile, None, START + 22 * DAY).is_ok(), "the profile is open");
}

#[test]
fn a_hundred_connected_calls_a_day_and_ten_thousand_attempts() {
    let ledger = ledger();
    for call in 0..100 {
        assert_eq!(ledger.may_attempt(NUMBER, NINO, START + call), Ok(()));
        ledger.note_connected(NUMBER, NINO, true, START + call);
    }
    let refusal = ledger.may_attempt(NUMBER, NINO, START + 200).unwrap_err();
    assert_eq!((refusal.code, refusal.details.ends_with(&(START + DAY).to_string())), (138_012, true), "{refusal:?}");
    let usage = ledger.usage(NUMBER, NINO, START + 200).1;
    assert_eq!(usage, Usage { period: DAY, max: 100, used: 100, free_at: Some(START + DAY) });
    assert_eq!(ledger.may_attempt(NUMBER, NINO, START + DAY), Ok(()), "rolling: the first is a day old");
    for attempt in 0..10_000 - 101 {
        assert_eq!(ledger.may_attempt(NUMBER, "995555010204", START + DAY - 1), Ok(()), "{attempt}");
    }
    assert_eq!(ledger.may_attempt(NUMBER, "995555010205", START + DAY - 1).unwrap_err().code, 138_005);
    assert_eq!(ledger.may_attempt("2", NINO, START + DAY - 1), Ok(()), "another number");
}

#[test]
fn two_calls_not_picked_up_nudge_and_four_revoke() {
    let ledger = ledger();
    ledger.grant(NUMBER, NINO, &Grant::Permanent, None, START).unwrap();
    let ignore = || ledger.note_not_picked_up(NUMBER, NINO, START).is_some();
    assert_eq!([ignore(), ignore(), ignore()], [false; 3]);
    ledger.note_connected(NUMBER, NINO, true, START);
    assert_eq!([ignore(), ignore(), ignore(), ignore()], [false, false, false, true], "counted from the start again");
    assert_eq!(ledger.nudges().len(), 2);
    assert_eq!(ledger.permission(NUMBER, NINO, START), Permission::None);
    assert_eq!([ignore(), ignore(), ignore(), ignore()], [false; 4], "nothing is left to take back");
}

#[test]
fn the_window_opens_with_a_message_or_a_call_for_a_day() {
    let ledger = ledger();
    assert_eq!(ledger.may_write(NUMBER, NINO, START).unwrap_err().code, 131_047);
    ledger.open_window(NUMBER, NINO, START);
    assert_eq!(ledger.may_write(NUMBER, NINO, START + DAY - 1), Ok(()));
    assert_eq!(ledger.may_write(NUMBER, NINO, START + DAY).unwrap_err().code, 131_047);
    ledger.note_connected(NUMBER, NINO, true, START + DAY);
    assert_eq!(ledger.may_write(NUMBER, NINO, START + DAY), Ok(()));
}

#[test]
fn permissions_are_read_five_times_a_second() {
    let ledger = ledger();
    let read = |ms: u64| ledger.may_read(NUMBER, START * 1_000 + ms).map_err(|refusal| refusal.code);
    assert!((0..5).all(|ms| read(ms).is_ok()));
    assert_eq!(read(999), Err(613));
    assert_eq!(read(1_000), Ok(()));
}

#[test]
fn a_callback_permission_does_not_replace_a_permanent_one() {
    let ledger = ledger();
    let (reply, context) = ledger.grant_callback(NUMBER, NINO, "wacid.1", START).unwrap();
    assert_eq!((&reply["response_source"], context.as_deref()), (&json!("automatic"), Some("wacid.1")));
    ledger.grant(NUMBER, NINO, &Grant::FromProfile, None, START).unwrap();
    assert_eq!(ledger.grant_callback(NUMBER, NINO, "wacid.2", START), None);
    assert_eq!(ledger.permission(NUMBER, NINO, START), Permission::Permanent);
}
