//! Names and notes that would like to be markup.

use serde_json::json;
use tandem_loadtest::whatsapp::InboundCall;

use crate::MICROPHONE_HZ;
use crate::browser::{Browser, Size, Theme};
use crate::people::{hire, sign_in_at};
use crate::sign_in;
use crate::world::{NINO, SOON, World};

const NAMES: usize = 500;

/// What tells that a script ran: each of these would set it.
const RAN: &str = "return String(window.ran)";

const TRICKS: [&str; 10] = [
    "<script>window.ran=N</script>",
    "<img src=x onerror=window.ran=N>",
    "\"><svg/onload=window.ran=N>",
    "javascript:window.ran=N",
    "</title></textarea><iframe srcdoc='<script>parent.ran=N</script>'>",
    "{{constructor.constructor('window.ran=N')()}}",
    "' autofocus onfocus=window.ran=N x='",
    "<math><mi xlink:href=\"data:x,<script>window.ran=N</script>\">",
    "<b>N</b>&lt;script&gt;window.ran=N&lt;/script&gt;",
    "<a href=\"javascript:window.ran=N\">Nino N</a>",
];

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_hostile_names_are_shown_as_they_are_and_run_nothing() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    let name = |n: usize| TRICKS[n % TRICKS.len()].replace('N', &n.to_string());
    for n in 0..NAMES {
        let contact = json!({"name": name(n), "assignee_id": "agt_a"});
        world.put(&format!("contacts/wa:9955551{n:05}"), contact).await;
    }
    world.put(&format!("contacts/wa:{NINO}"), json!({"name": name(1), "assignee_id": "agt_a"})).await;
    world.post(&format!("contacts/wa:{NINO}/notes"), json!({"text": TRICKS.join("\n")})).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;

    let phone = world.wa.call(InboundCall::from(NINO).named(&name(2))).await.unwrap();
    browser.shows("popup-name", &name(1)).await;
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    browser.click("call-hangup").await;
    browser.appears("toast").await;

    let base = &world.gateway.base;
    let nino = world.get(&format!("contacts/wa:{NINO}")).await["id"].as_str().unwrap().to_owned();
    for path in ["/contacts", &format!("/contacts/{nino}"), "/calls", "/calls?section=missed", "/", "/analytics"] {
        browser.open(&format!("{base}{path}")).await;
        browser.appears("status-switch").await;
        if path == "/contacts" {
            // Page after page, to the last.
            let shown = "[...document.querySelectorAll('#view button')].find((b) => /more/i.test(b.textContent) && !b.hidden)?.click(); return document.getElementById('view').textContent";
            world
                .until("all are listed", async || {
                    let shown = browser.run(shown).await;
                    (0..NAMES).all(|n| shown.as_str().unwrap().contains(&name(n)))
                })
                .await;
        }
        assert_eq!(browser.run(RAN).await, json!("undefined"), "{path}");
    }
    assert_eq!(browser.errors().await, Vec::<String>::new(), "nor was a script refused");
    browser.quit().await;
}

/// What a name may not be: it would turn the line around, end it, or never end.
const IMPOSSIBLE: [fn() -> String; 3] =
    [|| "Nino\u{202e}onin".to_owned(), || "Nino\0Beridze".to_owned(), || "N".repeat(10_000)];

/// As long as a name may be, in one word.
fn long(trick: &str) -> String {
    let family = "👨‍👩‍👧‍👦".repeat(5);
    format!("{trick}{family}{}", "W".repeat(200 - trick.chars().count() - family.chars().count()))
}

#[tokio::test(flavor = "multi_thread")]
async fn people_teams_and_views_with_hostile_names_run_nothing_and_push_nothing_aside() {
    let world = World::start().await;
    hire(&world, "agt_o", &long(TRICKS[0]), "owner").await;
    let ana = world.agent("agt_a").await;
    world.put("agents/agt_a", json!({"name": long(TRICKS[1])})).await;
    world.put("agents/agt_x", json!({"name": long(TRICKS[2]), "role": "teammate", "excluded": true})).await;
    world.put("teams/team_a", json!({"name": long(TRICKS[4])})).await;
    world.put("teams/team_b", json!({"name": long("\u{5d0}\u{5d1}")})).await;
    world.nino_of("agt_o").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"name": long(TRICKS[6])})).await;
    let view = json!({"name": TRICKS[1], "filter": {"text": TRICKS[4], "tag": TRICKS[2]}});
    for impossible in IMPOSSIBLE {
        let name = json!({"name": impossible()});
        for (method, path) in [
            ("PUT", "agents/agt_x"),
            ("PUT", "teams/team_a"),
            ("PUT", "contacts/wa:995555010299"),
            ("POST", "agents/agt_o/views"),
        ] {
            assert_eq!(world.gateway.request(method, path, Some(name.clone())).await.status, 422, "{path}");
        }
    }
    world.post("agents/agt_o/views", view).await;

    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/live").await;
    // Names of callers come from WhatsApp as they are.
    let caller = IMPOSSIBLE.iter().map(|name| name()).collect::<String>() + TRICKS[1];
    let phone = world.wa.call(InboundCall::from("995555010299").named(&caller)).await.unwrap();
    let offer = ana.next_offer(SOON).await.unwrap();
    let unharmed = async |what: &str| {
        for size in [Size::Desk, Size::Phone] {
            browser.look(size, Theme::Light).await;
            browser.fits(&format!("{what}, {size:?}")).await;
        }
        browser.look(Size::Desk, Theme::Light).await;
        assert_eq!(browser.run(RAN).await, json!("undefined"), "{what}");
    };
    browser.find("[data-testid=live-calls] li").await;
    unharmed("a call that rings").await;
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();

    let nino = world.get(&format!("contacts/wa:{NINO}")).await["id"].as_str().unwrap().to_owned();
    for (path, opens, shown, name) in [
        ("/calls", "views", "view", TRICKS[1]),
        ("/settings/people", "", "people", TRICKS[0]),
        ("/settings/people/agt_x", "person-remove", "person-heir", TRICKS[1]),
        ("/settings/teams", "team-new", "team-dialog", ""),
        ("/settings/teams", "", "excluded", TRICKS[2]),
        ("/settings/roles", "", "roles", ""),
        ("/account", "account-everywhere", "confirm", ""),
        (&format!("/calls/{}", talk.call_id), "", "offers", TRICKS[1]),
        (&format!("/contacts/{nino}"), "call-button", "call-dialog", TRICKS[6]),
    ] {
        browser.open(&format!("{}{path}", world.gateway.base)).await;
        browser.appears("status-switch").await;
        if !opens.is_empty() {
            browser.click(opens).await;
        }
        browser.says(shown, name).await;
        browser.screenshot(&format!("hostile{}", path.replace('/', "-"))).await;
        unharmed(&format!("{path} {opens}")).await;
    }
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    assert_eq!(browser.errors().await, Vec::<String>::new(), "nor was a script refused");
    browser.quit().await;
}
