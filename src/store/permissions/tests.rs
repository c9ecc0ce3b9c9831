use super::*;
use crate::model::reason::{GrantSource, RequestKind};
use crate::policy::pack::{BUILT_IN, Pack};
use crate::store::fixture::{self, Fixture, T0, agent_id, at, declined, granted, number_id, on_both};

fn all() -> PermissionFilter {
    PermissionFilter::of(number_id())
}

async fn status(t: &Fixture, c: &ContactId, secs: i64) -> PermissionStatus {
    t.store.permission(&number_id(), c).await.unwrap().read(at(secs)).status
}

async fn say(t: &Fixture, c: &ContactId, said: &[Event], secs: i64) -> Vec<String> {
    let logged = t.store.record_permission(&number_id(), c, said, at(secs)).await.unwrap();
    logged.into_iter().map(|event| event.kind).collect()
}

fn temporary(key: &str, secs: i64, lasts: i64) -> Event {
    let what = What::Granted {
        permanent: false,
        expires_at: Some(at(secs + lasts)),
        source: GrantSource::Profile,
        context: None,
    };
    Event { key: key.to_owned(), at: at(secs), what }
}

on_both!(what_was_said_stands_in_every_order_of_arrival_and_is_told_once);
async fn what_was_said_stands_in_every_order_of_arrival_and_is_told_once(t: Fixture) {
    t.seed().await;
    let said = [granted("a", at(1)), declined("b", at(5)), temporary("c", 9, 1000)];
    for (i, order) in [[0, 1, 2], [2, 1, 0], [1, 2, 0]].into_iter().enumerate() {
        let contact = t.customer(&format!("99555500000{i}")).await;
        for step in order {
            say(&t, &contact.id, &[said[step].clone()], 20).await;
            assert_eq!(say(&t, &contact.id, &[said[step].clone()], 20).await, Vec::<String>::new(), "told twice");
        }
        assert_eq!(status(&t, &contact.id, 20).await, PermissionStatus::Temporary, "{order:?}");
    }
    let t = t.restart().await;
    let page = t.store.permissions(&all(), 2, None, at(20)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let rest = t.store.permissions(&all(), 2, page.next_cursor.as_deref(), at(20)).await.unwrap();
    assert_eq!((rest.items.len(), rest.next_cursor), (1, None));
}

on_both!(a_narrowed_list_holds_the_customers_of_these_agents_page_by_page);
async fn a_narrowed_list_holds_the_customers_of_these_agents_page_by_page(t: Fixture) {
    let nobodys = t.seed().await;
    say(&t, &nobodys.id, &[granted("x", at(1))], 1).await;
    let (ana, beka) = (agent_id("a"), agent_id("b"));
    let mut of = Vec::new();
    for (i, (assignee, owner)) in
        [(Some(&ana), None), (Some(&beka), None), (Some(&beka), Some(&ana)), (None, Some(&ana))].iter().enumerate()
    {
        let customer = t.customer(&format!("99555500000{i}")).await;
        let owned = Contact { assignee_id: assignee.cloned(), owner_id: owner.cloned(), ..customer };
        t.store.put_contact(&owned).await.unwrap();
        let secs = 10 + i64::try_from(i).unwrap();
        say(&t, &owned.id, &[granted("a", at(secs))], secs).await;
        of.push(owned.id);
    }
    let [first, others, shared, owned] = of.try_into().unwrap();
    for (agents, want) in [
        (None, vec![&owned, &shared, &others, &first, &nobodys.id]),
        (Some(vec![ana.clone()]), vec![&owned, &shared, &first]),
        (Some(vec![ana, beka]), vec![&owned, &shared, &others, &first]),
        (Some(vec![agent_id("c")]), vec![]),
        (Some(vec![]), vec![]),
    ] {
        let (mut listed, mut cursor) = (Vec::new(), None);
        loop {
            let filter = PermissionFilter { seen_by: agents.clone(), ..all() };
            let page = t.store.permissions(&filter, 1, cursor.as_deref(), at(20)).await.unwrap();
            assert!(page.items.len() <= 1);
            listed.extend(page.items.into_iter().map(|(_, contact)| contact.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed.iter().collect::<Vec<_>>(), want, "{agents:?}");
    }
}

on_both!(a_list_is_narrowed_by_what_a_permission_is_worth_now_by_who_asked_and_by_name);
async fn a_list_is_narrowed_by_what_a_permission_is_worth_now_by_who_asked_and_by_name(t: Fixture) {
    t.seed().await;
    let (ana, beka) = (agent_id("a"), agent_id("b"));
    let mut ids = Vec::new();
    for (i, (name, said)) in [
        ("Nino", temporary("a", 1, 99)),
        ("Gia", granted("a", at(2))),
        ("Lali", Event::requested("r", RequestKind::Template, None, at(3)).by(Asker::Agent { agent_id: ana.clone() })),
    ]
    .into_iter()
    .enumerate()
    {
        let customer = t.customer(&format!("99555500000{i}")).await;
        let assignee_id = (name == "Gia").then(|| beka.clone());
        let customer = Contact { name: Some(name.to_owned()), assignee_id, ..customer };
        t.store.put_contact(&customer).await.unwrap();
        say(&t, &customer.id, &[said], i64::try_from(i).unwrap() + 1).await;
        ids.push(customer.id);
    }
    let by = |agent: &AgentId| PermissionFilter { agent: Some(agent.clone()), ..all() };
    let text = |text: &str| PermissionFilter { text: Some(text.to_owned()), ..all() };
    let status = |status| PermissionFilter { status: Some(status), ..all() };
    for (filter, secs, want) in [
        (status(PermissionStatus::Temporary), 99, &[0][..]),
        (status(PermissionStatus::Temporary), 100, &[]),
        (status(PermissionStatus::Expired), 100, &[0]),
        (status(PermissionStatus::Permanent), 100, &[1]),
        (status(PermissionStatus::Requested), 100, &[2]),
        (by(&ana), 100, &[2]),
        (by(&beka), 100, &[1]),
        (PermissionFilter { hides_asker: true, ..by(&ana) }, 100, &[]),
        (PermissionFilter { hides_asker: true, ..by(&beka) }, 100, &[1]),
        (text("ni"), 100, &[0]),
        (text("+995 555 000 001"), 100, &[1]),
        (text("%"), 100, &[]),
        (PermissionFilter { status: Some(PermissionStatus::Expired), ..text("gia") }, 100, &[]),
    ] {
        // A page of one: whoever fits lies behind rows that do not.
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = t.store.permissions(&filter, 1, cursor.as_deref(), at(secs)).await.unwrap();
            found.extend(page.items.into_iter().map(|(_, contact)| contact.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, want.iter().map(|i: &usize| ids[*i].clone()).collect::<Vec<_>>(), "{filter:?}");
    }
}

on_both!(a_list_goes_on_behind_more_rows_than_are_read_at_once);
async fn a_list_goes_on_behind_more_rows_than_are_read_at_once(t: Fixture) {
    let oldest = t.seed().await;
    say(&t, &oldest.id, &[granted("a", at(1))], 1).await;
    let mut tx = t.store.writer.begin().await.unwrap();
    for i in 0..READ_MAX + 5 {
        for sql in [
            "INSERT INTO contacts (id, created_at, search_text) VALUES ($1, 0, '')",
            "INSERT INTO permissions (number_id, contact_id, revision, state, touched_at) \
             SELECT number_id, $1, 0, '{}', 9000000000000 FROM permissions LIMIT 1",
        ] {
            sqlx::query(sql).bind(format!("con_{i:05}")).execute(&mut *tx).await.unwrap();
        }
    }
    sqlx::query("UPDATE permissions SET state = $1 WHERE state = '{}'")
        .bind(json_text(&Ledger::default()))
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let filter = PermissionFilter { status: Some(PermissionStatus::Permanent), ..all() };
    let first = t.store.permissions(&filter, 500, None, at(2)).await.unwrap();
    assert!(first.items.is_empty() && first.next_cursor.is_some(), "so far nothing fits, and there is more");
    let rest = t.store.permissions(&filter, 500, first.next_cursor.as_deref(), at(2)).await.unwrap();
    assert_eq!((rest.items.len(), &rest.items[0].1.id, rest.next_cursor), (1, &oldest.id, None));
}

on_both!(a_permission_that_ran_out_is_told_once_by_our_own_clock);
async fn a_permission_that_ran_out_is_told_once_by_our_own_clock(t: Fixture) {
    let contact = t.seed().await;
    assert_eq!(say(&t, &contact.id, &[temporary("a", 0, 100)], 0).await, ["permission.granted"]);
    for (secs, want) in [(99, vec![]), (100, vec!["permission.expired"]), (101, vec![])] {
        let (logged, more) = t.store.expire_permissions(at(secs)).await.unwrap();
        assert_eq!(logged.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), want, "{secs}");
        assert!(!more);
    }
    assert_eq!(status(&t, &contact.id, 100).await, PermissionStatus::Expired);
}

on_both!(a_correction_replaces_what_was_reported_first);
async fn a_correction_replaces_what_was_reported_first(t: Fixture) {
    let contact = t.seed().await;
    say(&t, &contact.id, &[granted("a", at(0))], 0).await;
    let call = crate::model::id::CallId::generate();
    say(&t, &contact.id, &[Event::call_outcome(&call, false, at(5))], 5).await;
    let view = |ledger: Ledger| ledger.view(&number_id(), &contact.id, at(9));
    assert_eq!(view(t.store.permission(&number_id(), &contact.id).await.unwrap()).unanswered_in_a_row, 1);
    say(&t, &contact.id, &[Event::call_outcome(&call, true, at(4))], 6).await;
    let corrected = view(t.store.permission(&number_id(), &contact.id).await.unwrap());
    assert_eq!((corrected.unanswered_in_a_row, corrected.connected_at), (0, Some(at(4))));
}

on_both!(what_was_granted_under_a_pack_keeps_its_numbers_when_the_pack_is_edited_in_place);
async fn what_was_granted_under_a_pack_keeps_its_numbers_when_the_pack_is_edited_in_place(t: Fixture) {
    let contact = t.seed().await;
    let what = What::Granted { permanent: false, expires_at: None, source: GrantSource::Profile, context: None };
    let granted = |key: &str, secs| Event { key: key.to_owned(), at: at(secs), what: what.clone() };
    t.store.keep_pack(&t.store.terms(), T0).await.unwrap();
    say(&t, &contact.id, &[granted("a", 50)], 50).await;
    let text = BUILT_IN.replace("temporary_h = 168", "temporary_h = 24");
    let edited = Terms::new(Pack::parse("edited", &text).unwrap(), text, t.store.terms().card.clone());
    t.store.keep_pack(&edited, at(51)).await.unwrap();
    t.store.set_terms(edited);
    // Out of order, so that everything is folded anew.
    say(&t, &contact.id, &[declined("late", at(0))], 60).await;
    let (day, week) = (24 * 3600, 50 + 168 * 3600);
    assert_eq!(status(&t, &contact.id, week - 1).await, PermissionStatus::Temporary);
    assert_eq!(status(&t, &contact.id, week).await, PermissionStatus::Expired);
    say(&t, &contact.id, &[granted("b", week)], week).await;
    assert_eq!(status(&t, &contact.id, week + day).await, PermissionStatus::Expired, "a new one is the edit's");
}

on_both!(a_month_of_daily_checks_leaves_those_of_a_week_and_those_that_repaired_something);
async fn a_month_of_daily_checks_leaves_those_of_a_week_and_those_that_repaired_something(t: Fixture) {
    let contact = t.seed().await;
    let day = 24 * 3600;
    let mut said = vec![granted("a", T0)];
    said.extend((1..=30).map(|days| {
        let books = if days < 12 { PermissionStatus::Permanent } else { PermissionStatus::None };
        Event::checked(books, None, at(days * day))
    }));
    for event in &said {
        say(&t, &contact.id, std::slice::from_ref(event), 31 * day).await;
    }
    let kept = async || {
        let rows = sqlx::query("SELECT key FROM permission_events ORDER BY at").fetch_all(&t.store.reader).await;
        rows.unwrap().iter().map(|row| row.text("key").unwrap()).collect::<Vec<_>>()
    };
    // The repair stays; the others while something may come late that they are to judge.
    let left: Vec<_> = [0, 12].into_iter().chain(23..=30).map(|day| said[day].key.clone()).collect();
    assert_eq!(kept().await, left);
    let whole = Ledger::fold(&said, &t.store.terms().pack);
    assert_eq!(t.store.permission(&number_id(), &contact.id).await.unwrap(), whole);
    // One that comes late is as idle as it would have been in time; the fold is made anew for it.
    say(&t, &contact.id, &[said[20].clone()], 31 * day).await;
    assert_eq!(kept().await, left);
    assert_eq!(t.store.permission(&number_id(), &contact.id).await.unwrap(), whole);
}

on_both!(a_number_is_checked_in_its_turn_however_many_wait_at_another);
async fn a_number_is_checked_in_its_turn_however_many_wait_at_another(t: Fixture) {
    let nino = t.seed().await;
    let other = crate::model::directory::Number { id: NumberId::parse("7").unwrap(), ..fixture::number() };
    t.store.put_number(&other, None).await.unwrap();
    let mut crowd = Vec::new();
    for i in 0..5 {
        let contact = t.customer(&format!("99555500000{i}")).await;
        t.store.check_permission_at(&other.id, &contact.id, at(i), false).await.unwrap();
        crowd.push(contact.id);
    }
    t.store.check_permission_at(&number_id(), &nino.id, at(10), false).await.unwrap();
    assert_eq!(t.store.numbers_to_check(at(9)).await.unwrap(), std::slice::from_ref(&other.id));
    assert_eq!(t.store.numbers_to_check(at(10)).await.unwrap(), [other.id.clone(), number_id()]);
    let claim = async |n: &NumberId, secs| {
        let mut claimed = t.store.claim_checks(n, 2, Duration::from_secs(300), at(secs)).await.unwrap();
        claimed.sort_by_key(|claimed| crowd.iter().position(|one| one == claimed));
        claimed
    };
    assert_eq!(claim(&other.id, 10).await, crowd[..2]);
    assert_eq!(claim(&other.id, 11).await, crowd[2..4]);
    assert_eq!(claim(&number_id(), 11).await, std::slice::from_ref(&nino.id));
    assert_eq!(claim(&other.id, 12).await, crowd[4..]);
    assert_eq!(claim(&other.id, 309).await, []);
    assert_eq!(claim(&other.id, 310).await, crowd[..2], "nobody answered in five minutes");
}

on_both!(a_question_without_an_answer_is_asked_again_ever_later_and_looks_do_not_hasten_it);
async fn a_question_without_an_answer_is_asked_again_ever_later_and_looks_do_not_hasten_it(t: Fixture) {
    let (contact, n) = (t.seed().await, number_id());
    let look = async |secs| t.store.check_permission_at(&n, &contact.id, at(secs), true).await.unwrap();
    let claim = async |secs| t.store.claim_checks(&n, 9, Duration::from_secs(300), at(secs)).await.unwrap().len();
    look(0).await;
    let mut secs = 0;
    for pause in [300, 600, 1200, 2400, 4800, 9600, 19_200, 19_200] {
        assert_eq!(claim(secs).await, 1, "after {secs} s");
        look(secs + 1).await;
        assert_eq!(claim(secs + pause - 1).await, 0, "it rests for {pause} s");
        secs += pause;
    }
    // An answer ends it: the next failure is a first one.
    say(&t, &contact.id, &[Event::checked(PermissionStatus::None, None, at(secs))], secs).await;
    assert_eq!(claim(secs + 99_999).await, 0, "nobody asks about a stranger");
    look(secs + 100_000).await;
    assert_eq!((claim(secs + 100_000).await, claim(secs + 100_299).await), (1, 0));
    assert_eq!(claim(secs + 100_300).await, 1);
}

on_both!(a_stranger_whom_somebody_only_looked_at_is_in_no_list);
async fn a_stranger_whom_somebody_only_looked_at_is_in_no_list(t: Fixture) {
    let (contact, n) = (t.seed().await, number_id());
    let listed =
        async || t.store.permissions(&PermissionFilter::of(n.clone()), 10, None, at(9)).await.unwrap().items.len();
    t.store.check_permission_at(&n, &contact.id, at(0), true).await.unwrap();
    assert_eq!(listed().await, 0);
    say(&t, &contact.id, &[Event::checked(PermissionStatus::None, None, at(1))], 1).await;
    assert_eq!(listed().await, 0, "WhatsApp knows nothing either");
    say(&t, &contact.id, &[granted("a", at(2))], 2).await;
    assert_eq!(listed().await, 1);
}

on_both!(the_end_is_told_once_when_many_ask_at_that_moment);
async fn the_end_is_told_once_when_many_ask_at_that_moment(t: Fixture) {
    let (contact, n) = (t.seed().await, number_id());
    say(&t, &contact.id, &[temporary("a", 0, 100)], 0).await;
    let asking = (0..12).map(|i| {
        let (store, n, c) = (t.store.clone(), n.clone(), contact.id.clone());
        tokio::spawn(async move {
            let asked = Event::requested(&format!("r{i}"), RequestKind::Template, None, at(100));
            match i % 3 {
                0 => store.record_permission(&n, &c, &[asked], at(100)).await.unwrap(),
                1 => store.record_permission(&n, &c, &[], at(100)).await.unwrap(),
                _ => store.expire_permissions(at(100)).await.unwrap().0,
            }
        })
    });
    let told = futures_util::future::join_all(asking).await.into_iter().flat_map(Result::unwrap);
    assert_eq!(told.filter(|event| event.kind == "permission.expired").count(), 1);
}

on_both!(two_hundred_parallel_requests_are_one);
async fn two_hundred_parallel_requests_are_one(t: Fixture) {
    let contact = t.seed().await;
    let number = crate::model::directory::Number { plan: crate::model::directory::Plan::Advanced, ..fixture::number() };
    t.store.put_number(&number, None).await.unwrap();
    let who = crate::model::directory::ContactRef::Id(contact.id.clone());
    let tasks = (0..200).map(|i| {
        let (store, who) = (t.store.clone(), who.clone());
        tokio::spawn(async move {
            let asked = Event::requested(&format!("req_{i}"), RequestKind::Template, None, T0);
            let decide = |facts: crate::policy::request::RequestFacts| {
                crate::policy::request::may_ask(&facts, store.terms().rules(T0))
            };
            let (number, terms) = (number_id(), store.terms());
            let kind = RequestKind::Template;
            let wish = crate::store::RequestWish { terms: &terms, number: &number, to: &who, kind, asked: &asked };
            let decided = store.decide_request(wish, || T0, decide);
            decided.await.unwrap().unwrap().is_ok()
        })
    });
    let allowed = futures_util::future::join_all(tasks).await.into_iter().filter(|r| *r.as_ref().unwrap()).count();
    assert_eq!(allowed, 1);
}
