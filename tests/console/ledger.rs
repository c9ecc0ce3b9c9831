//! Money: what gets low, what was booked, prices, and WhatsApp's own count.

use serde_json::json;
use tandem::billing::reconcile::{Books, Ours, Reconciliation, Tally, Theirs};
use tandem::model::day::Day;
use tandem::model::id::{NumberId, WabaId};
use tandem::model::time::Clock;
use tandem_loadtest::whatsapp::Script;

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::manage::{last_download, store, watch_downloads};
use crate::people::{hire, sign_in_at};
use crate::world::{NINO, NUMBER, SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_makes_the_wallet_low_is_told_on_every_page() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    hire(&world, "agt_t", "Tato", "teammate").await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    // A twentieth of a thousandth is left above what is low.
    world.post("wallet/adjustments", json!({"micros": -9_950, "currency": "USD", "reason": "Rounding"})).await;
    sign_in_at(&world, &browser, "agt_o", "/wallet").await;
    browser.click("low-change").await;
    for wrong in ["12,50", "99.9999"] {
        browser.run("document.querySelector('#low-wrong').textContent = ''").await;
        browser.fill("low-amount", wrong).await;
        browser.click("low-save").await;
        let said = browser.run("return document.querySelector('#low-wrong').textContent").await;
        assert!(said.as_str().unwrap().starts_with("Write an amount"), "{wrong}: {said}");
    }
    browser.looks_good("wallet-low-dialog").await;
    browser.fill("low-amount", "99.99").await;
    browser.click("low-save").await;
    let words = async || browser.text("low-words").await;
    world.until("it says when", async || words().await.contains("$99.99.")).await;
    assert_eq!(world.get("wallet").await["low_micros"], 99_990_000);
    assert!(!browser.is_there("wallet-low").await, "there is more");

    browser.open(&format!("{}/contacts", world.gateway.base)).await;
    browser.appears("status-switch").await;
    let hidden = "return document.querySelector('[data-testid=wallet-banner]').hidden";
    assert_eq!(browser.run(hidden).await, true);
    world.wa.set_customer(NINO, Script { hang_up_after: Some(std::time::Duration::from_secs(1)), ..Script::default() });
    let placed = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.settled(&placed.call_id).await;
    // Every page says so.
    browser.reads(hidden, false).await;
    browser.says("wallet-banner", "The wallet is low: $99.9").await;
    browser.says("wallet-banner", "left").await;
    let log = world.get("events?limit=200").await;
    let low: Vec<_> = log["items"].as_array().unwrap().iter().filter(|event| event["type"] == "wallet.low").collect();
    assert_eq!(low.len(), 1);
    assert_eq!(low[0]["data"]["low_micros"], 99_990_000);
    browser.looks_good("wallet-banner-low").await;
    browser.click("wallet-hush").await;
    world.until("it can be put off", async || browser.run(hidden).await == true).await;
    browser.open(&format!("{}/wallet", world.gateway.base)).await;
    browser.appears("wallet-low").await;
    world.top_up(1_000_000).await;
    browser.vanishes("wallet-low").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;

    let mate = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &mate, "agt_t", "/").await;
    let set = "fetch('/v1/wallet', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{\"low_micros\":1}' }).then((answer) => done(answer.status))";
    assert_eq!(mate.run_async(set).await, 403);
    mate.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_narrowed_paged_and_taken_home() {
    let world = World::without_money().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    for n in 1..=60 {
        let body = json!({"micros": n * 1_000_000, "currency": "USD", "reference": format!("Invoice {n}")});
        world.post("wallet/top-ups", body).await;
    }
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/wallet").await;
    let rows = async || browser.run("return document.querySelectorAll('[data-testid=entry]').length").await;
    world.until("a page of it", async || rows().await == 50).await;
    browser.looks_good("wallet-ledger").await;
    browser.click("ledger-older").await;
    world.until("all of it", async || rows().await == 60).await;
    browser.fill("ledger-reference", "invoice 7").await;
    world.until("by reference", async || rows().await == 1).await;
    browser.reads("return location.search", "?tab=ledger&reference=invoice+7").await;
    watch_downloads(&browser).await;
    browser.click("ledger-csv").await;
    world.until("it is saved", async || browser.run("return taken.length").await == 1).await;
    let table = String::from_utf8(last_download(&browser).await).unwrap();
    assert!(table.lines().count() == 2 && table.contains(",7000000,USD,,Invoice 7,"), "{table}");
    browser
        .run("const kind = document.querySelector('[data-testid=ledger-kind]'); kind.value = 'call_charge'; kind.dispatchEvent(new Event('change'))")
        .await;
    world.until("no call was charged", async || rows().await == 0).await;
    browser.looks_good("wallet-ledger-none").await;
    browser.reload().await;
    browser.appears("ledger-reference").await;
    browser.reads("return document.querySelector('[data-testid=ledger-kind]').value", "call_charge").await;

    // A wrong top-up is taken back, and much money is asked about once more.
    browser.open(&format!("{}/wallet", world.gateway.base)).await;
    world.until("what there is", async || browser.text("balance").await == "$1,830.00").await;
    browser.click("adjust").await;
    browser.fill("adjust-amount", "29.999").await;
    browser.click("adjust-next").await;
    browser.says("adjust-wrong", "Write an amount above 0").await;
    browser.fill("adjust-amount", "29.99").await;
    browser.click("adjust-next").await;
    browser.says("adjust-wrong", "Say why").await;
    browser.fill("adjust-reason", "Invoice 30 came twice").await;
    browser.looks_good("wallet-adjust").await;
    browser.click("adjust-next").await;
    browser.says("confirm", "The balance is $1,830.00 and will be $1,800.01.").await;
    browser.looks_good("wallet-adjust-confirm").await;
    browser.click("confirm-yes").await;
    world.until("it is booked", async || browser.text("balance").await == "$1,800.01").await;
    let first = async || browser.text("entry").await;
    world.until("the ledger says why", async || first().await.contains("Invoice 30 came twice by Olga")).await;
    let entry = first().await;
    assert!(entry.contains("Adjustment") && entry.contains("-$29.99"), "{entry}");
    browser.click("top-up").await;
    browser.fill("top-up-amount", "1000.01").await;
    browser.click("top-up-save").await;
    browser.says("confirm", "and will be $2,800.02.").await;
    browser.click("confirm-yes").await;
    world.until("it is paid in", async || browser.text("balance").await == "$2,800.02").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_rate_card_is_refused_line_by_line_and_a_right_one_shows_what_comes() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/wallet?tab=rates").await;
    browser.appears("rates").await;
    let give = async |csv: &str| {
        let script = format!(
            "const given = new DataTransfer(); given.items.add(new File([{}], 'mine.csv', {{ type: 'text/csv' }})); \
             const field = document.querySelector('[data-testid=rates-file]'); field.files = given.files; field.dispatchEvent(new Event('change'))",
            json!(csv)
        );
        browser.run(&script).await;
    };
    let before = world.get("rate-card").await["sha256"].clone();
    give("effective_from,market,currency,price_per_minute\n2025-01-01,*,USD,much\n2025-13-01,GE,USD,0.5\n").await;
    world
        .until("each mistake by its line", async || {
            browser.text("rates-mistakes").await.contains("Line 3: effective_from")
        })
        .await;
    let said = browser.text("rates-mistakes").await;
    assert!(said.contains("Line 2: price_per_minute") && said.contains("mine.csv was not taken"), "{said}");
    browser.looks_good("wallet-rates-mistakes").await;
    assert_eq!(world.get("rate-card").await["sha256"], before);

    give("effective_from,market,currency,price_per_minute\n2025-01-01,*,USD,0.02\n2025-01-01,GE,USD,0.5\n2090-01-01,GE,USD,0.75\n").await;
    world.until("it is in force", async || world.get("rate-card").await["sha256"] != before).await;
    world.until("the page shows it", async || browser.text("rates").await.contains("$0.50")).await;
    let shown = browser.run("return document.querySelector('main').innerText").await;
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("Later") && shown.contains("$0.75") && shown.contains("2090"), "{shown}");
    browser.fill("rate-search", "georgia").await;
    world.until("only Georgia's", async || !browser.text("rates").await.contains("Everybody else")).await;
    browser.looks_good("wallet-rates").await;
    watch_downloads(&browser).await;
    browser.click("rates-csv").await;
    world.until("it is saved", async || browser.run("return taken.length").await == 1).await;
    assert!(String::from_utf8(last_download(&browser).await).unwrap().contains("2090-01-01,GE,USD,0.75"));
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_on_which_whatsapp_counts_otherwise_shows_both_sides() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let count = |calls| Tally { calls, ..Tally::default() };
    let ours = |calls| Ours { by_end: count(calls), by_answer: count(calls) };
    let theirs = |calls| Theirs { tally: count(calls), points: 1 };
    let books = Books {
        outbound: (ours(3), theirs(4)),
        inbound: (ours(1), theirs(1)),
        currency: "USD".parse().unwrap(),
        their_currency: None,
    };
    let store = store(&world).await;
    let (account, now) = (WabaId::parse("200000000000002").unwrap(), Clock.now().wall);
    store.learn_owner(&NumberId::parse(NUMBER).unwrap(), &account, now, now.plus(SOON)).await.unwrap();
    let day: Day = "2026-11-20".parse().unwrap();
    for day in [day, day.minus(1)] {
        let books = if day.to_string().ends_with("20") { books } else { Books { outbound: books.inbound, ..books } };
        let seen = Reconciliation::of(account.clone(), day, &books, now);
        store.put_reconciliation(&seen).await.unwrap();
    }
    store.close().await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/wallet?tab=reconciliation").await;
    for part in ["Differs", "Agrees", "Here: 3 calls", "WhatsApp: 4 calls"] {
        browser.says("reconciliations", part).await;
    }
    browser.looks_good("wallet-reconciliation").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
